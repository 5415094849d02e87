import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createServiceDirectory, createSignedFetch } from '@countersign/client'
import { createGuard } from '@countersign/guard'
import { guardNode } from '@countersign/guard/node'
import type { Figure } from '../figures.ts'
import { addedCost, microsecondsOfOne } from './added-cost.ts'
import { message, type Parties, receiver } from './parties.ts'

const callsARound = 200

/** A POST of JSON to node:http, with `fetch`; then signed, and behind a guard. */
export async function benchRest({ signer, verifier, rawMicroseconds }: Parties): Promise<Figure> {
  const guard = createGuard({ serviceTokens: verifier })
  const bare = await listen(answer)
  const guarded = await listen(guardNode(guard, {}, answer))
  const directory = createServiceDirectory({ services: { inventory: guarded.url } })
  const signedFetch = createSignedFetch(signer, { directory })
  const body = JSON.stringify(message)

  const calls = (call: typeof fetch, url: string) => () =>
    microsecondsOfOne(callsARound, async () => {
      const response = await call(`${url}/v1/stock/decrease?sku=1`, { method: 'POST', body })
      if (response.status !== 200) throw new Error(`${receiver} answered ${response.status}: ${await response.text()}`)
      await response.text()
    })
  try {
    return await addedCost('add to a REST call (fetch, node:http)', rawMicroseconds, {
      without: calls(fetch, bare.url),
      with: calls(signedFetch, guarded.url),
    })
  } finally {
    for (const { server } of [bare, guarded]) {
      server.closeAllConnections()
      server.close()
    }
    await guard.close()
  }
}

const answer: RequestListener = (request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    const { quantity } = JSON.parse(Buffer.concat(chunks).toString())
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ left: quantity }))
  })
}

async function listen(listener: RequestListener): Promise<{ server: Server; url: string }> {
  const server = createServer(listener)
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}
