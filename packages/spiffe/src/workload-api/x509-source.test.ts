import { createTestAuthority, type FakeWorkloadApi, startFakeWorkloadApi } from '@countersign/spiffe/testing'
import { createX509Source, type X509Source, type X509SourceOptions } from '@countersign/spiffe/workload-api'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { SpiffeError } from '../spiffe-error.ts'

/** Milliseconds that a busy machine may take for what comes at once on an idle one. */
const patience = 20_000

const authority = createTestAuthority('example.org')
const open: (FakeWorkloadApi | X509Source)[] = []
const errors: SpiffeError[] = []

afterEach(async () => {
  errors.length = 0
  for (const one of open.splice(0)) await one.close()
})

describe('a source of X.509-SVIDs', () => {
  it('has the identity once it is ready, and teaches who asks before', async () => {
    const fake = await startFake(['/billing'])
    const source = sourceOf(fake)
    expect(() => source.svid()).toThrow('await source.ready')
    await source.ready
    expect(source.svid().id.toString()).toBe('spiffe://example.org/billing')
    expect([...source.bundles.keys()]).toEqual(['example.org'])
  })

  it('has the newest identity and bundles, and tells its listeners', async () => {
    const fake = await startFake(['/billing'])
    const source = sourceOf(fake)
    await source.ready
    const first = source.svid()
    const told = vi.fn()
    const end = source.onUpdate(told)
    const handedOn = source.bundles
    fake.setSvids([authority.x509Svid('/billing')])
    await vi.waitFor(() => expect(source.svid()).not.toBe(first), patience)
    authority.rotate()
    fake.refresh()
    await vi.waitFor(() => expect(handedOn.get('example.org')?.x509Authorities).toHaveLength(2), patience)
    expect(told).toHaveBeenCalledTimes(2)
    end()
    fake.refresh()
    await vi.waitFor(() => expect(fake.calls.get('FetchX509SVID')).toBe(1), patience)
    expect(told).toHaveBeenCalledTimes(2)
  })

  it('waits for an agent that is started later', async () => {
    const socket = `unix:///tmp/late-agent-${process.pid}-${Date.now()}.sock`
    const source = createX509Source({ socket, onError: (error) => errors.push(error) })
    open.push(source)
    await vi.waitFor(() => expect(errors.map(({ code }) => code)).toContain('unavailable'), patience)
    open.push(await startFakeWorkloadApi(authority, { socket, svids: [authority.x509Svid('/billing')] }))
    await source.ready
    expect(source.svid().id.path).toBe('/billing')
  })

  it('waits for a registration entry', async () => {
    const fake = await startFake([])
    const source = sourceOf(fake)
    await vi.waitFor(() => expect(errors.map(({ code }) => code)).toContain('no_identity'), patience)
    fake.setSvids([authority.x509Svid('/billing')])
    await source.ready
  })

  it('picks one of several identities', async () => {
    const fake = await startFake(['/billing', '/reports'])
    const source = sourceOf(fake, { pick: (svids) => svids.find(({ id }) => id.path === '/reports') })
    await source.ready
    expect(source.svid().id.path).toBe('/reports')
    sourceOf(fake, { pick: () => undefined })
    await vi.waitFor(() => expect(errors.at(-1)?.message).toContain('spiffe://example.org/reports'), patience)
  })

  it('keeps the last identity while the agent is away, and not beyond its end', async () => {
    let now = Date.now()
    const fake = await startFake(['/billing'])
    const source = sourceOf(fake, { now: () => now })
    await source.ready
    await fake.close()
    await vi.waitFor(() => expect(errors.map(({ code }) => code)).toContain('unavailable'), patience)
    expect(source.svid().id.path).toBe('/billing')
    now += 3600_000
    expect(() => source.svid()).toThrow(expect.objectContaining({ code: 'expired_svid' }))
  })

  it('gives the identity up when the agent goes on saying that there is none', async () => {
    let now = Date.now()
    const fake = await startFake(['/billing'])
    const source = sourceOf(fake, { now: () => now })
    await source.ready
    fake.setSvids([])
    await vi.waitFor(() => expect(errors.map(({ code }) => code)).toContain('no_identity'), patience)
    expect(source.svid().id.path).toBe('/billing')
    const told = vi.fn()
    source.onUpdate(told)
    now += 11_000
    await vi.waitFor(() => expect(told).toHaveBeenCalled(), patience)
    expect(() => source.svid()).toThrow(expect.objectContaining({ code: 'no_identity' }))
  })

  it('says on stderr, once for each kind, what it waits for', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const fake = await startFake([])
    const source = createX509Source({ socket: fake.socket })
    open.push(source)
    await vi.waitFor(() => expect(fake.calls.get('FetchX509SVID')).toBeGreaterThan(2), patience)
    expect(warned.mock.calls.map(([, options]) => options)).toEqual([{ code: 'SPIFFE_NO_IDENTITY' }])
    warned.mockRestore()
  })
})

async function startFake(paths: string[]): Promise<FakeWorkloadApi> {
  const fake = await startFakeWorkloadApi(authority, { svids: paths.map((path) => authority.x509Svid(path)) })
  open.push(fake)
  return fake
}

function sourceOf(fake: FakeWorkloadApi, options: X509SourceOptions = {}): X509Source {
  const source = createX509Source({ socket: fake.socket, onError: (error) => errors.push(error), ...options })
  // Sources end before the agents they watch.
  open.unshift(source)
  return source
}
