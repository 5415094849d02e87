// Starts what the tests talk to. What a variable already points to is used as it is.

import { startPostgres } from './postgres.js'
import { postgresPrograms } from './postgres-programs.js'
import { redisProgram, startRedis } from './redis.js'

/**
 * @returns {Promise<{ environment: Record<string, string>, leftOut: string[], stop(): void }>} the variables that tell
 *   the tests where things are, and which suites have to do without
 */
export async function startServices(say) {
  const environment = {}
  const leftOut = []
  const started = []
  const stop = () => {
    for (const service of started.splice(0)) service.stop()
  }
  try {
    const programs = postgresPrograms(say)
    if (programs) environment.COUNTERSIGN_TEST_POSTGRES_PROGRAMS = programs
    if (!process.env.COUNTERSIGN_TEST_POSTGRES_URL) {
      if (programs) {
        say('starting PostgreSQL ...')
        const postgres = await startPostgres({ programs })
        started.push(postgres)
        environment.COUNTERSIGN_TEST_POSTGRES_URL = postgres.url
      } else leftOut.push('PostgreSQL (install its server, or set COUNTERSIGN_TEST_POSTGRES_URL)')
    }
    const program = redisProgram(say)
    if (program) environment.COUNTERSIGN_TEST_REDIS_PROGRAM = program
    if (!process.env.COUNTERSIGN_TEST_REDIS_URL) {
      if (program) {
        say('starting Redis ...')
        const redis = await startRedis({ program })
        started.push(redis)
        environment.COUNTERSIGN_TEST_REDIS_URL = redis.url
      } else leftOut.push('Redis (install redis-server, or set COUNTERSIGN_TEST_REDIS_URL)')
    }
    return { environment, leftOut, stop }
  } catch (error) {
    stop()
    throw error
  }
}
