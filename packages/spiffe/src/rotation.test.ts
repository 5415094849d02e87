import { request as httpsRequest } from 'node:https'
import { setTimeout } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { grpcChannelCredentials, grpcServerCredentials } from '@countersign/spiffe/grpc'
import { HealthClient, type HealthServer, HealthService } from '@countersign/spiffe/protocol/health'
import { createTestAuthority, type FakeWorkloadApi, startFakeWorkloadApi } from '@countersign/spiffe/testing'
import {
  allowId,
  createHttp2Server,
  createHttpsServer,
  createTlsServer,
  httpsAgent,
  peerOf,
  secureConnect,
} from '@countersign/spiffe/tls'
import { undiciDispatcher } from '@countersign/spiffe/undici'
import { createX509Source, type X509Source } from '@countersign/spiffe/workload-api'
import { Server } from '@grpc/grpc-js'
import { request as undiciRequest } from 'undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listen } from './tls/test-source.fixture.ts'

const lifetimeSeconds = 600
const rounds = 4
const ways = ['https', 'undici', 'undici h2', 'grpc', 'tls']
const authority = createTestAuthority('example.org')
const clean: (() => unknown)[] = []
let agents: FakeWorkloadApi[]
let orders: X509Source
let billing: X509Source
/** Serial numbers of the clients that each server has seen. */
const seen = new Map<string, Set<string>>()
const counts = new Map<string, number>()
const failures: string[] = []

beforeAll(async () => {
  agents = await Promise.all(['/orders', '/billing'].map((path) => startAgent(path)))
  const sources = agents.map(({ socket }) =>
    createX509Source({ socket, onError: (error) => failures.push(`${error}`) }),
  )
  clean.unshift(...sources.map((source) => () => source.close()))
  orders = sources[0]!
  billing = sources[1]!
  await Promise.all(sources.map(({ ready }) => ready))
})

afterAll(async () => {
  for (const step of clean) await step()
})

describe('rotation of SVIDs and of the CA under load', () => {
  it('fails no request, over https, undici with HTTP/1 and 2, gRPC and plain TLS', async () => {
    const until = { stop: false }
    const load = [
      work('https', until, await throughHttps()),
      work('undici', until, await throughUndici('undici', false)),
      work('undici h2', until, await throughUndici('undici h2', true)),
      work('grpc', until, await throughGrpc()),
      work('tls', until, await throughTls()),
    ]
    for (let round = 0; round < rounds; round += 1) {
      await workGoesOn()
      rotateSvids()
      // It is known everywhere long before it signs.
      if (round === 1) await publishAuthority()
      if (round === 3) drainGrpc()
    }
    await workGoesOn()
    until.stop = true
    await Promise.all(load)
    expect(failures).toEqual([])
    for (const way of ways) {
      // Every rotation has reached new connections of every kind; gRPC changes when the server drains the old one.
      expect(seen.get(way)!.size, way).toBeGreaterThanOrEqual(way === 'grpc' ? 2 : rounds + 1)
    }
  })
})

/** However busy the machine: two seconds, and ten calls of every kind. */
async function workGoesOn(): Promise<void> {
  const before = new Map(counts)
  await setTimeout(2000)
  const isBehind = (way: string) => (counts.get(way) ?? 0) < (before.get(way) ?? 0) + 10
  while (failures.length === 0 && ways.some(isBehind)) await setTimeout(50)
}

async function startAgent(path: string): Promise<FakeWorkloadApi> {
  const agent = await startFakeWorkloadApi(authority, { svids: [authority.x509Svid(path, { lifetimeSeconds })] })
  clean.push(() => agent.close())
  return agent
}

async function publishAuthority(): Promise<void> {
  const before = orders.bundles.get('example.org')!.x509Authorities.length
  authority.rotate()
  for (const agent of agents) agent.refresh()
  const know = (source: X509Source) => source.bundles.get('example.org')!.x509Authorities.length > before
  while (!know(orders) || !know(billing)) await setTimeout(10)
}

function rotateSvids(): void {
  agents[0]!.setSvids([authority.x509Svid('/orders', { lifetimeSeconds })])
  agents[1]!.setSvids([authority.x509Svid('/billing', { lifetimeSeconds })])
}

/** Three callers that never stop. */
async function work(name: string, until: { stop: boolean }, call: () => Promise<string>): Promise<void> {
  await Promise.all(
    Array.from({ length: 3 }, async () => {
      while (!until.stop) {
        try {
          expect(await call()).toBe('hello')
          counts.set(name, (counts.get(name) ?? 0) + 1)
        } catch (error) {
          failures.push(`${name}: ${error} ${(error as Error).cause ?? ''}`)
        }
        await setTimeout(10)
      }
    }),
  )
}

const toOrders = allowId('spiffe://example.org/orders')
const fromBilling = allowId('spiffe://example.org/billing')

function note(name: string, connection: object): void {
  const serials = seen.get(name) ?? new Set()
  seen.set(name, serials.add(peerOf(connection)!.certificate.serialNumber))
}

async function throughHttps(): Promise<() => Promise<string>> {
  const server = createHttpsServer(orders, fromBilling, (request, response) => {
    note('https', request)
    response.end('hello')
  })
  const port = await listen(server)
  const agent = httpsAgent(billing, toOrders)
  clean.unshift(
    () => agent.destroy(),
    () => server.close(),
  )
  return () =>
    new Promise((resolve, reject) => {
      const request = httpsRequest({ host: '127.0.0.1', port, agent }, (response) => {
        let text = ''
        response.on('data', (chunk) => {
          text += chunk
        })
        response.on('end', () => resolve(text))
        response.on('error', reject)
      })
      request.on('error', reject)
      request.end()
    })
}

async function throughUndici(name: string, allowH2: boolean): Promise<() => Promise<string>> {
  const server = createHttp2Server(
    orders,
    fromBilling,
    (request, response) => {
      note(name, request)
      response.end('hello')
    },
    { http: { allowHTTP1: true } },
  )
  const port = await listen(server)
  const dispatcher = undiciDispatcher(billing, toOrders, { allowH2, connections: 4 })
  clean.unshift(
    () => dispatcher.close(),
    () => server.close(),
  )
  return async () => {
    const { body } = await undiciRequest(`https://127.0.0.1:${port}/`, { dispatcher })
    return body.text()
  }
}

async function throughGrpc(): Promise<() => Promise<string>> {
  const server = new Server()
  const serials = new Set<string>()
  seen.set('grpc', serials)
  const { peerOf: callerOf } = await import('@countersign/spiffe/grpc')
  const implementation: HealthServer = {
    check(call, done) {
      serials.add(callerOf(call)!.certificate.serialNumber)
      done(null, { status: 1 })
    },
    watch() {},
  }
  server.addService(HealthService, implementation)
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpcServerCredentials(orders, fromBilling, { now: grpcNow }), (error, bound) =>
      error ? reject(error) : resolve(bound),
    )
  })
  const client = new HealthClient(`127.0.0.1:${port}`, grpcChannelCredentials(billing, toOrders))
  clean.unshift(
    () => client.close(),
    () => server.forceShutdown(),
  )
  return () =>
    new Promise((resolve, reject) => {
      client.check({ service: '' }, (error) => (error ? reject(error) : resolve('hello')))
    })
}

let skewMilliseconds = 0
const grpcNow = () => Date.now() + skewMilliseconds

/** For the gRPC server the end of its client's first certificate comes near. */
function drainGrpc(): void {
  skewMilliseconds = lifetimeSeconds * 800
  setTimeout(1500).then(() => {
    skewMilliseconds = 0
  })
}

async function throughTls(): Promise<() => Promise<string>> {
  const server = createTlsServer(orders, fromBilling, (socket: TLSSocket) => {
    note('tls', socket)
    socket.end('hello')
  })
  const port = await listen(server)
  clean.unshift(() => server.close())
  return async () => {
    const socket = await secureConnect(billing, toOrders, { host: '127.0.0.1', port })
    let text = ''
    for await (const chunk of socket) text += chunk
    return text
  }
}
