import { createClient } from '@countersign/client'
import { loadConfig, type RunningServer, startServer } from '@countersign/server'
import pino from 'pino'
import { openDataDirectory } from './data-directory.ts'
import { demoApi, demoAudience, demoPath } from './demo-api.ts'
import { adminClientId, demoApiClientId, demoClientId, seed } from './seed.ts'
import { type FirstCall, type PlaygroundSummary, welcome } from './welcome.ts'

export interface PlaygroundOptions {
  port: number
  dataDir: string
  json: boolean
  /** Also an agent, and with it workload identity */
  withAgent: boolean
}

/**
 * `countersign dev`: a whole server on this machine alone, with a demo client and a demo API, and a first call made.
 * @throws Error with a sentence when the port is busy or the data cannot be used
 */
export async function runPlayground({ port, dataDir, json, withAgent }: PlaygroundOptions): Promise<RunningServer> {
  const data = await openDataDirectory(dataDir)
  const issuer = `http://localhost:${port}/`
  // Most playgrounds have no agent: what it is made of is not loaded for them.
  const agentModule = withAgent ? await import('./agent.ts') : undefined
  const nodes = await agentModule?.nodeSettings(data.directory)
  // Settings of a production server in the environment are not the playground's.
  const config = loadConfig({
    environment: {
      COUNTERSIGN_ISSUER: issuer,
      COUNTERSIGN_HOST: 'localhost',
      COUNTERSIGN_PORT: String(port),
      COUNTERSIGN_DATABASE_URL: data.databaseUrl,
      COUNTERSIGN_MASTER_KEY: data.masterKey,
      COUNTERSIGN_LOG_LEVEL: process.env.COUNTERSIGN_LOG_LEVEL ?? 'warn',
      COUNTERSIGN_RATE_LIMITS: process.env.COUNTERSIGN_RATE_LIMITS,
      ...nodes?.environment,
    },
  })
  const logger = pino({ level: config.log_level, base: undefined }, pino.destination({ dest: 2, sync: true }))
  const server = await startServer(config, logger, async (app, authority) => {
    await seed(authority, data)
    if (nodes) await agentModule?.seedEntry(authority, nodes.node)
    await demoApi(app, issuer, { id: demoApiClientId, secret: data.demoApiSecret })
  }).catch((error) => {
    throw explain(error, port)
  })
  try {
    const summary: PlaygroundSummary = {
      issuer,
      admin: { client_id: adminClientId, client_secret: data.adminSecret },
      client: { client_id: demoClientId, client_secret: data.demoSecret },
      api: { url: `http://localhost:${port}${demoPath}`, audience: demoAudience, scopes: ['read:orders'] },
    }
    const agent =
      nodes && (await agentModule?.startAgent(server, { issuer, directory: data.directory, ...nodes, logger }))
    if (agent) {
      const { stop, ...agentSummary } = agent
      summary.agent = agentSummary
      const { close } = server
      server.close = async () => {
        await stop()
        await close()
      }
    }
    const first = await firstCall(summary)
    process.stdout.write(json ? `${JSON.stringify(summary)}\n` : welcome(summary, data, first))
    return server
  } catch (error) {
    await server.close()
    throw error
  }
}

async function firstCall({ issuer, client, api }: PlaygroundSummary): Promise<FirstCall> {
  const machine = createClient({ issuer, clientId: client.client_id, clientSecret: client.client_secret })
  const askedAt = performance.now()
  const { accessToken, scope } = await machine.token({ audience: api.audience })
  const calledAt = performance.now()
  const answer = await fetch(api.url, { headers: { authorization: `Bearer ${accessToken}` } })
  const answeredAt = performance.now()
  if (answer.status !== 200)
    throw new Error(`the demo API answered ${answer.status} to the demo client's own token: ${await answer.text()}`)
  const refusal = await fetch(api.url)
  const [header, claims] = accessToken
    .split('.', 2)
    .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()))
  return {
    token: {
      milliseconds: Math.round(calledAt - askedAt),
      algorithm: header.alg,
      lifetimeSeconds: claims.exp - claims.iat,
      scope: scope ?? '',
    },
    call: { milliseconds: Math.round(answeredAt - calledAt), status: answer.status, body: await answer.text() },
    callWithoutToken: { status: refusal.status, challenge: refusal.headers.get('www-authenticate') ?? '' },
  }
}

function explain(error: Error & { code?: string }, port: number): Error {
  if (error.code === 'EADDRINUSE') {
    return new Error(`port ${port} is busy; take another one: npm start -- --port ${port + 1}`)
  }
  if (error.code === 'wrong_master_key') {
    return new Error(`${error.message}; or begin anew by removing the data directory`)
  }
  return error
}
