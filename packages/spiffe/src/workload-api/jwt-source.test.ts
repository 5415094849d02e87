import { verifyJwtSvid } from '@countersign/spiffe'
import { createTestAuthority, type FakeWorkloadApi, startFakeWorkloadApi } from '@countersign/spiffe/testing'
import { createJwtSource, type JwtSource } from '@countersign/spiffe/workload-api'
import { status } from '@grpc/grpc-js'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

let now = Date.now()
const authority = createTestAuthority('example.org', { now: () => now })
let fake: FakeWorkloadApi
let source: JwtSource

beforeEach(async () => {
  now = Date.now()
  fake = await startFakeWorkloadApi(authority, { svids: [authority.x509Svid('/billing')], jwtLifetimeSeconds: 300 })
  source = createJwtSource({ socket: fake.socket, now: () => now, onError: () => {} })
})

afterEach(async () => {
  source.close()
  await fake.close()
})

describe('a source of JWT-SVIDs', () => {
  it('asks anew when half of the life is over, and not before', async () => {
    const first = await source.fetch('orders')
    now += 149_000
    expect(await source.fetch('orders')).toBe(first)
    now += 2_000
    const second = await source.fetch('orders')
    expect(second.expiresAt).toBeGreaterThan(first.expiresAt)
    expect(fake.calls.get('FetchJWTSVID')).toBe(2)
  })

  it('keeps audiences apart, in whatever order they are named', async () => {
    await source.fetch('orders')
    await source.fetch(['orders', 'stock'])
    await source.fetch(['stock', 'orders'])
    expect(fake.calls.get('FetchJWTSVID')).toBe(2)
  })

  it('asks the agent once, however many want the same at once', async () => {
    const svids = await Promise.all(Array.from({ length: 50 }, () => source.fetch('orders')))
    expect(new Set(svids).size).toBe(1)
    expect(fake.calls.get('FetchJWTSVID')).toBe(1)
  })

  it('serves what still lives while the agent is away, and fails when it has died', async () => {
    const svid = await source.fetch('orders')
    fake.failWith(status.UNAVAILABLE)
    now += 200_000
    expect(await source.fetch('orders')).toBe(svid)
    now += 100_000
    await expect(source.fetch('orders')).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('fails at once when the agent says that there is no identity any more', async () => {
    await source.fetch('orders')
    fake.setSvids([])
    now += 200_000
    await expect(source.fetch('orders')).rejects.toMatchObject({ code: 'no_identity' })
  })

  it('has the bundles to judge others by', async () => {
    await source.ready
    const token = authority.jwtSvid('/caller', ['billing'])
    const svid = verifyJwtSvid(token, { audience: 'billing', bundles: source.bundles, now: now / 1000 })
    expect(svid.id.path).toBe('/caller')
  })
})
