import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, LookupFunction } from 'node:net'
import { selfSignedCertificate } from './self-signed.fixture.ts'

export interface DocumentServer extends AsyncDisposable {
  url: string
  port: number
  /** One for each request: its headers. */
  requests: Record<string, unknown>[]
  /** Replaces the handler. */
  answer(handler: RequestListener): void
}

/** A real HTTP server on a free port of the loopback, which notes what it is asked. */
export async function startDocumentServer(
  handler: RequestListener,
  options: { host?: string; port?: number; tlsName?: string } = {},
): Promise<DocumentServer & { certificate: string }> {
  const { host = '127.0.0.1', port = 0, tlsName } = options
  const requests: Record<string, unknown>[] = []
  let current = handler
  const listener: RequestListener = (request, response) => {
    requests.push(request.headers)
    current(request, response)
  }
  const identity = tlsName === undefined ? undefined : selfSignedCertificate(tlsName)
  const server = identity === undefined ? createHttpServer(listener) : createHttpsServer(identity, listener)
  await new Promise<void>((ready) => server.listen(port, host, ready))
  const bound = (server.address() as AddressInfo).port
  return {
    url: `${identity ? 'https' : 'http'}://${tlsName ?? host}:${bound}`,
    port: bound,
    requests,
    certificate: identity?.cert ?? '',
    answer: (next) => {
      current = next
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
    },
  }
}

/** Answers each look-up with the next list, the last one for ever, and counts. */
export function lookupOf(...answers: string[][]): LookupFunction & { calls: number } {
  const lookup = (_hostname: string, _options: unknown, callback: Parameters<LookupFunction>[2]) => {
    const addresses = answers[Math.min(lookup.calls, answers.length - 1)] ?? []
    lookup.calls += 1
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )
  }
  lookup.calls = 0
  return lookup
}
