import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import {
  type CallBinding,
  createServiceTokenSigner,
  createSigner,
  type GeneratedKey,
  generateSigningKey,
  httpBinding,
  type PrivateKey,
  type PublicJwk,
  type ServiceTokenSigner,
} from '@countersign/tokens'
import { closing, listening } from '../listening.fixture.ts'

/** Services that sign, and the place where their keys are published, on a real socket. */
export interface TestSenders {
  /** A JWKS_URL. */
  readonly template: string
  /** Requests for keys by short name. */
  readonly asked: Map<string, number>
  /** Answers instead of the sets when set. */
  answer: ((request: IncomingMessage, response: ServerResponse, shortName: string) => void) | undefined
  /** What is published; tests change it. */
  readonly published: Map<string, PublicJwk[]>
  add(shortName: string, options?: { now?: () => number; lifetimeSeconds?: number }): Promise<TestSender>
  stop(): Promise<void>
}

export interface TestSender extends ServiceTokenSigner {
  readonly key: PrivateKey
  /** A token for one HTTP call. */
  forCall(call: HttpCall, audience?: string): string
  /** Whatever claims and header, signed with the sender's key. */
  forge(claims: Record<string, unknown>, header?: { typ?: string; kid?: string }): string
  /** Good claims for a call to `inventory`. */
  claims(binding: CallBinding, audience?: string): Record<string, unknown>
}

export interface HttpCall {
  readonly method: string
  readonly target: string
  readonly content?: string | Uint8Array
}

export async function startSenders(): Promise<TestSenders> {
  const asked = new Map<string, number>()
  const published = new Map<string, PublicJwk[]>()
  const server = createServer((request, response) => {
    const shortName = request.url!.split('/')[1]!
    asked.set(shortName, (asked.get(shortName) ?? 0) + 1)
    if (self.answer !== undefined) {
      self.answer(request, response, shortName)
      return
    }
    const keys = published.get(shortName)
    if (keys === undefined) response.writeHead(404).end()
    else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys }))
  })
  const origin = await listening(server)
  const self: TestSenders = {
    template: `${origin}/$service/.well-known/jwks.json`,
    asked,
    answer: undefined,
    published,
    async add(shortName, options = {}) {
      const key = await generateSigningKey('EdDSA')
      published.set(shortName, [...(published.get(shortName) ?? []), key.publicJwk])
      return createSender(shortName, key, options)
    },
    stop: () => closing(server),
  }
  return self
}

/** @param options.now milliseconds */
export function createSender(
  shortName: string,
  generated: GeneratedKey,
  { now = Date.now, lifetimeSeconds }: { now?: () => number; lifetimeSeconds?: number } = {},
): TestSender {
  const key = { key: generated.privateKey, publicJwk: generated.publicJwk }
  const signer = createServiceTokenSigner({ name: shortName, key, now, lifetimeSeconds })
  return {
    ...signer,
    key,
    forCall: (call, audience = 'inventory-service') => signer.sign({ audience, binding: bindingOf(call) }),
    forge(claims, header = {}) {
      const kid = 'kid' in header ? header.kid : signer.kid
      const type = 'typ' in header ? header.typ : 'm2m+jwt'
      return createSigner({ algorithm: 'EdDSA', key: key.key, kid, type }).sign(claims)
    },
    claims(binding, audience = 'inventory-service') {
      const iat = Math.floor(now() / 1000)
      const { transport: _transport, ...req } = binding
      const { sender } = signer
      const jti = crypto.randomUUID()
      return { iss: sender, sub: sender, sender, aud: audience, iat, exp: iat + 60, jti, req }
    },
  }
}

export function bindingOf({ method, target, content = '' }: HttpCall): CallBinding {
  return httpBinding({ method, target, content: Buffer.from(content as string) })
}
