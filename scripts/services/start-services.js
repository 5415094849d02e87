// Starts what the tests talk to. What a variable already points to is used as it is.

import { startKafka } from './kafka.js'
import { kafkaJars } from './kafka-jars.js'
import { startPostgres } from './postgres.js'
import { postgresPrograms } from './postgres-programs.js'
import { redisProgram, startRedis } from './redis.js'
import { exists, installSystemPackages } from './system-packages.js'

/**
 * They run in the folder of services-folder.js, and end when that is closed.
 * @returns {Promise<{ environment: Record<string, string>, leftOut: string[] }>} the variables that tell the tests where
 *   things are, and which suites have to do without
 */
export async function startServices(say) {
  const environment = {}
  const leftOut = []
  const kafka = beginKafka(say, leftOut)
  const programs = postgresPrograms(say)
  if (programs) environment.COUNTERSIGN_TEST_POSTGRES_PROGRAMS = programs
  if (!process.env.COUNTERSIGN_TEST_POSTGRES_URL) {
    if (programs) {
      say('starting PostgreSQL ...')
      environment.COUNTERSIGN_TEST_POSTGRES_URL = (await startPostgres({ programs })).url
    } else leftOut.push('PostgreSQL (install its server, or set COUNTERSIGN_TEST_POSTGRES_URL)')
  }
  const program = redisProgram(say)
  if (program) environment.COUNTERSIGN_TEST_REDIS_PROGRAM = program
  if (!process.env.COUNTERSIGN_TEST_REDIS_URL) {
    if (program) {
      say('starting Redis ...')
      environment.COUNTERSIGN_TEST_REDIS_URL = (await startRedis({ program })).url
    } else leftOut.push('Redis (install redis-server, or set COUNTERSIGN_TEST_REDIS_URL)')
  }
  // The slowest of them has started while the others did.
  if (kafka) environment.COUNTERSIGN_TEST_KAFKA_BROKERS = (await kafka).brokers
  // Shows a test in which order a server writes, syncs and answers.
  if (!exists('strace') && !installSystemPackages(['strace'], say)) leftOut.push('power loss (install strace)')
  return { environment, leftOut }
}

function beginKafka(say, leftOut) {
  if (process.env.COUNTERSIGN_TEST_KAFKA_BROKERS) return undefined
  const jars = kafkaJars(say)
  if (!jars) {
    leftOut.push('Kafka (install Java 17 and Maven, or set COUNTERSIGN_TEST_KAFKA_BROKERS)')
    return undefined
  }
  say('starting Kafka ...')
  const starting = startKafka({ jars })
  // Whoever awaits it learns of its failure; until then it is nobody's unhandled rejection.
  starting.catch(() => {})
  return starting
}
