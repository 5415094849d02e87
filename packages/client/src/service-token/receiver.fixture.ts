import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  checkServiceToken,
  generateSigningKey,
  httpBinding,
  parseJwks,
  parseJwt,
  type ServiceTokenClaims,
  selectKey,
} from '@countersign/tokens'
import { type FakeServer, startServer } from '../fake-server.fixture.ts'
import type { ServiceSigner } from './service-signer.ts'

/** A request as `node:http` received it. */
export interface Received {
  method: string
  url: string
  headers: IncomingMessage['headers']
  body: Buffer
  token: string | undefined
}

export interface Receiver extends FakeServer {
  received: Received[]
  answer: (request: Received, response: ServerResponse) => void
}

/** A server that only notes what comes in; it verifies nothing, so that tests see what was really sent. */
export async function startReceiver(): Promise<Receiver> {
  const server = await startServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part)
    const { method = '', url = '', headers } = request
    const token = headers['x-m2m-token'] ?? headers['m2m-token']
    const one = { method, url, headers, body: Buffer.concat(parts), token: token?.toString() }
    receiver.received.push(one)
    receiver.answer(one, response)
  })
  const receiver: Receiver = { ...server, received: [], answer: (_, response) => response.end('ok') }
  return receiver
}

/** The claims of the token that came with a request, checked against the very request. Throws as a receiver refuses. */
export function verified(received: Received, signer: ServiceSigner, audience: string): ServiceTokenClaims {
  const { method, url, body, token = '' } = received
  const parsed = parseJwt(token)
  const key = selectKey(parseJwks(signer.jwks()), parsed.header)
  if (key === undefined) throw new Error(`no key ${parsed.header.kid} is published`)
  const binding = httpBinding({ method, target: url, content: body })
  return checkServiceToken(parsed, key, { audiences: [audience], binding }, Date.now() / 1000)
}

export async function newPem(): Promise<string> {
  return (await generateSigningKey('EdDSA')).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
}
