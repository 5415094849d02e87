import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createSigner, generateSigningKey, type PublicJwk, type SigningAlgorithm } from '@countersign/tokens'
import { freePort } from '../../server/src/free-port.fixture.ts'

export const audience = 'https://orders.example'

export interface TestIssuer {
  /** With the trailing slash, as the playground has it. */
  readonly issuer: string
  readonly jwksUrl: string
  /** Requests by path, since the start. */
  readonly asked: Map<string, number>
  /** What is published; tests change it. */
  keys: PublicJwk[]
  /** Answers instead of the documents when set. */
  answer: ((request: IncomingMessage, response: ServerResponse) => void) | undefined
  readonly kid: string
  /** A good access token, changed by what is given. */
  token(claims?: Record<string, unknown>, header?: { typ?: string; kid?: string }): string
  addKey(algorithm?: SigningAlgorithm): Promise<{ kid: string; token(claims?: Record<string, unknown>): string }>
  stop(): Promise<void>
  start(): Promise<void>
}

/** An authorization server as far as a guard sees one, on a real socket: metadata, keys, tokens. */
export async function startIssuer(now: () => number = Date.now): Promise<TestIssuer> {
  const key = await generateSigningKey('ES256')
  const asked = new Map<string, number>()
  const server = createServer((request, response) => {
    const path = request.url!.split('?')[0]!
    asked.set(path, (asked.get(path) ?? 0) + 1)
    if (self.answer !== undefined) return self.answer(request, response)
    if (path === '/.well-known/oauth-authorization-server') {
      return sendJson(response, { issuer: self.issuer, jwks_uri: self.jwksUrl })
    }
    if (path === '/.well-known/jwks.json') return sendJson(response, { keys: self.keys })
    response.writeHead(404).end()
  })
  const port = await freePort()
  await listen(server, port)
  const issuer = `http://localhost:${port}/`

  const self: TestIssuer = {
    issuer,
    jwksUrl: `${issuer}.well-known/jwks.json`,
    asked,
    keys: [key.publicJwk],
    answer: undefined,
    kid: key.kid,
    token: (claims, header) => makeToken(key, claims, header),
    async addKey(algorithm = 'ES256') {
      const added = await generateSigningKey(algorithm)
      self.keys = [...self.keys, added.publicJwk]
      return { kid: added.kid, token: (claims) => makeToken(added, claims) }
    },
    async stop() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
    start: () => listen(server, port),
  }
  return self

  function makeToken(
    signing: Awaited<ReturnType<typeof generateSigningKey>>,
    claims: Record<string, unknown> = {},
    header: { typ?: string; kid?: string } = {},
  ): string {
    const type = 'typ' in header ? header.typ : 'at+jwt'
    const kid = 'kid' in header ? header.kid : signing.kid
    const signer = createSigner({ algorithm: signing.algorithm, key: signing.privateKey, kid, type })
    return signer.sign({ ...goodClaims(issuer, now), ...claims })
  }
}

/** What the server puts into a token. `now`: milliseconds. */
export function goodClaims(issuer: string, now: () => number = Date.now): Record<string, unknown> {
  const issuedAt = Math.floor(now() / 1000)
  return {
    iss: issuer,
    sub: 'svc-orders',
    client_id: 'svc-orders',
    aud: audience,
    scope: 'read:orders write:orders',
    iat: issuedAt,
    exp: issuedAt + 3600,
    jti: crypto.randomUUID(),
  }
}

export function sendJson(response: ServerResponse, document: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(document))
}

function listen(server: ReturnType<typeof createServer>, port: number): Promise<void> {
  return new Promise((done, failed) => {
    server.once('error', failed).listen(port, 'localhost', done)
  })
}
