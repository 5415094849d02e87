import { generateKeyPairSync } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createServiceDirectory, createServiceSigner, createSignedFetch, type ServiceSigner } from '@countersign/client'
import { createSigner, generateSigningKey, importPrivatePem, jwkThumbprint } from '@countersign/tokens'
import { type CreateServiceOptions, createService, type Service } from './service.ts'
import type { ServiceLogger } from './service-context.ts'

/** Services, their keys, and an issuer of users' tokens, all on real sockets. */
export interface World extends AsyncDisposable {
  /** What every service has in its environment. */
  readonly environment: Record<string, string>
  readonly log: LogLines
  /** What the service `name` has in its environment. */
  environmentOf(name: string): Record<string, string>
  /** A signer whose public key is published. */
  signer(name: string): ServiceSigner
  /** A token with any claims and header, signed with the published key of `name`. */
  forge(name: string, claims: object, header?: { typ?: string; kid?: string }): string
  /** A service that is started, with a key of its own. */
  start(name: string, document: unknown, options?: CreateServiceOptions): Promise<StartedService>
  /** The same, not started yet. */
  create(name: string, document: unknown, options?: CreateServiceOptions): Promise<Service>
  /** An access token of a user. */
  userToken(claims?: Record<string, unknown>): string
  /** A fetch that signs as `name` for whoever is started here. */
  fetchAs(name: string, options?: { tenant?: string; header?: 'x-m2m-token' | 'm2m-token' }): typeof fetch
}

export interface StartedService extends Service {
  readonly url: string
}

export interface LogLines extends ServiceLogger {
  readonly lines: string[]
}

export const sessionAudience = 'https://shop.example'

export async function createWorld(): Promise<World> {
  const signers = new Map<string, ServiceSigner>()
  const secrets = new Map<string, string>()
  const services: Record<string, string> = {}
  const running: Service[] = []
  const issuerKey = await generateSigningKey('ES256')
  const server = createServer((request, response) => {
    const name = /^\/([a-z0-9-]+)\/\.well-known\/jwks\.json$/.exec(request.url!)?.[1]
    const signer = signers.get(name ?? '')
    if (request.url === '/.well-known/jwks.json') return json(response, { keys: [issuerKey.publicJwk] })
    if (request.url!.startsWith('/.well-known/oauth-authorization-server'))
      return json(response, { issuer, jwks_uri: `${issuer}.well-known/jwks.json` })
    if (signer === undefined) return response.writeHead(404).end()
    json(response, signer.jwks())
  })
  const port = await listen(server)
  const issuer = `http://localhost:${port}/`
  const users = createSigner({ algorithm: 'ES256', key: issuerKey.privateKey, kid: issuerKey.kid, type: 'at+jwt' })
  const log = logLines()
  const environment = {
    HTTP_PORT: '0',
    HTTP_HOST: '127.0.0.1',
    GRPC_PORT: '0',
    SERVICE_ENV: 'production',
    JWKS_URL: `http://127.0.0.1:${port}/$service/.well-known/jwks.json`,
    SESSION_ISSUERS: issuer,
    SESSION_AUDIENCE: sessionAudience,
  }

  const world: World = {
    environment,
    log,
    signer,
    forge(name, claims, { typ = 'm2m+jwt', kid } = {}) {
      signer(name)
      const { key, publicJwk } = importPrivatePem(secrets.get(name)!)
      return createSigner({ algorithm: 'EdDSA', key, kid: kid ?? jwkThumbprint(publicJwk), type: typ }).sign(claims)
    },
    environmentOf(name) {
      signer(name)
      return { ...environment, SERVICE_SHORT_NAME: name, SERVICE_SECRET_KEY: secrets.get(name)! }
    },
    async create(name, document, options = {}) {
      const service = await createService(document, {
        logger: log,
        services,
        ...options,
        environment: { ...world.environmentOf(name), ...options.environment },
      })
      running.push(service)
      return service
    },
    async start(name, document, options) {
      const service = await world.create(name, document, options)
      await service.start()
      services[name] = service.url!
      return service as StartedService
    },
    userToken(claims = {}) {
      const now = Math.floor(Date.now() / 1000)
      const good = { iss: issuer, sub: 'alice', client_id: 'shop', aud: sessionAudience, iat: now, exp: now + 600 }
      return users.sign({ ...good, jti: crypto.randomUUID(), ...claims })
    },
    fetchAs: (name, options = {}) =>
      createSignedFetch(signer(name), { directory: createServiceDirectory({ services }), ...options }),
    async [Symbol.asyncDispose]() {
      for (const service of running) await service.stop()
      server.closeAllConnections()
      server.close()
    },
  }
  return world

  function signer(name: string): ServiceSigner {
    const known = signers.get(name)
    if (known !== undefined) return known
    const { privateKey } = generateKeyPairSync('ed25519')
    const secretKey = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const made = createServiceSigner({ name, secretKey })
    secrets.set(name, secretKey)
    signers.set(name, made)
    return made
  }
}

/** Keeps what is logged, as one line of JSON each. */
export function logLines(): LogLines {
  const lines: string[] = []
  const write = (level: string) => (details: object, message: string) =>
    void lines.push(JSON.stringify({ level, ...details, message }))
  return { lines, debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
}

export async function listen(server: Server): Promise<number> {
  await new Promise<void>((done, failed) => server.once('error', failed).listen(0, '127.0.0.1', done))
  return (server.address() as AddressInfo).port
}

function json(response: import('node:http').ServerResponse, document: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(document))
}

/** What came over the wire, whose shape each test knows. */
// biome-ignore lint/suspicious/noExplicitAny: a test that reads a wrong member fails.
export type AnyJson = any
