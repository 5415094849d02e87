import { createTestAuthority, type FakeWorkloadApi, startFakeWorkloadApi } from '@countersign/spiffe/testing'
import { createWorkloadApi, type WorkloadApi } from '@countersign/spiffe/workload-api'
import { status } from '@grpc/grpc-js'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Bundle } from '../bundles/bundle.ts'
import type { SpiffeError } from '../spiffe-error.ts'
import { readJwtSvids } from './jwt-answers.ts'

/** Milliseconds that a busy machine may take for what comes at once on an idle one. */
const patience = 20_000

const authority = createTestAuthority('example.org')
const partner = createTestAuthority('partner.example')
let fake: FakeWorkloadApi
let workloadApi: WorkloadApi

beforeEach(async () => {
  fake = await startFakeWorkloadApi(authority, { svids: [authority.x509Svid('/billing', { hint: 'internal' })] })
  workloadApi = createWorkloadApi({ socket: fake.socket, timeoutSeconds: 10 })
})

afterEach(async () => {
  workloadApi.close()
  await fake.close()
})

describe('a workload', () => {
  it('gets its identity with its key, hint and the bundles of each trust domain apart', async () => {
    fake.setFederated([partner.bundle])
    const { svids, bundles } = await workloadApi.fetchX509Context()
    expect(svids.map(({ id, hint }) => `${id} ${hint}`)).toEqual(['spiffe://example.org/billing internal'])
    expect([...bundles.keys()].sort()).toEqual(['example.org', 'partner.example'])
    expect(bundles.get('partner.example')?.x509Authorities[0]?.der).toEqual(partner.issuer.certificate.der)
  })

  it('is not talked out of the bundle of its own trust domain by a federated one of the same name', async () => {
    const impostor = createTestAuthority('example.org')
    fake.setFederated([impostor.bundle])
    const { bundles } = await workloadApi.fetchX509Context()
    expect(bundles.get('example.org')?.x509Authorities).toHaveLength(1)
    expect(bundles.get('example.org')?.x509Authorities[0]?.der).toEqual(authority.issuer.certificate.der)
  })

  it('keeps its own identity where the bundle of a partner cannot be read, and believes nobody of that partner', async () => {
    const broken = { ...partner.bundle, x509Authorities: [{ der: Buffer.from('no certificate') }] } as unknown as Bundle
    fake.setFederated([broken])
    await expect(workloadApi.fetchX509Context()).rejects.toMatchObject({ code: 'invalid_certificate' })
    const seen: string[][] = []
    const errors: SpiffeError[] = []
    const end = workloadApi.watchX509Context(
      ({ bundles }) => seen.push([...bundles.keys()]),
      (error) => errors.push(error),
    )
    await vi.waitFor(() => expect(seen).toEqual([['example.org']]), patience)
    expect(errors).toMatchObject([{ code: 'invalid_certificate' }])
    end()
  })

  it('is told of every change while it watches, and of nothing afterwards', async () => {
    const seen: string[] = []
    const end = workloadApi.watchX509Context(({ svids }) => seen.push(svids.map(({ id }) => id.path).join()))
    await vi.waitFor(() => expect(seen).toEqual(['/billing']), patience)
    fake.setSvids([authority.x509Svid('/billing'), authority.x509Svid('/reports')])
    await vi.waitFor(() => expect(seen).toEqual(['/billing', '/billing,/reports']), patience)
    end()
    fake.setSvids([authority.x509Svid('/other')])
    await workloadApi.fetchX509Context()
    expect(seen).toHaveLength(2)
  })

  it('gets JWT-SVIDs for one audience or several, of all its identities or one', async () => {
    fake.setSvids([authority.x509Svid('/billing'), authority.x509Svid('/reports')])
    const svid = await workloadApi.fetchJwtSvid({ audience: 'orders' })
    expect([svid.id.path, svid.audience]).toEqual(['/billing', ['orders']])
    const all = await workloadApi.fetchJwtSvids({ audience: ['orders', 'stock'] })
    expect(all.map(({ id }) => id.path)).toEqual(['/billing', '/reports'])
    const one = await workloadApi.fetchJwtSvids({ audience: 'orders', id: 'spiffe://example.org/reports' })
    expect(one.map(({ id }) => id.path)).toEqual(['/reports'])
  })

  it.each([[[]], [''], [['orders', '']]])('must name an audience for a JWT-SVID: %j', async (audience) => {
    await expect(workloadApi.fetchJwtSvid({ audience })).rejects.toMatchObject({ code: 'invalid_configuration' })
    expect(fake.calls.get('FetchJWTSVID')).toBeUndefined()
  })

  it('has a JWT-SVID checked by the agent', async () => {
    const token = authority.jwtSvid('/caller', ['billing'])
    const { id, claims } = await workloadApi.validateJwtSvid({ audience: 'billing', token })
    expect([id.toString(), claims.sub]).toEqual(['spiffe://example.org/caller', 'spiffe://example.org/caller'])
    const refusal = workloadApi.validateJwtSvid({ audience: 'other', token })
    await expect(refusal).rejects.toMatchObject({ code: 'untrusted_svid' })
  })

  it('gets the bundles for itself, X.509 and JWT', async () => {
    fake.setFederated([partner.bundle])
    const x509 = await workloadApi.fetchX509Bundles()
    expect([...x509.values()].map((bundle) => bundle.x509Authorities.length)).toEqual([1, 1])
    const jwt = await workloadApi.fetchJwtBundles()
    const keys = [...jwt.values()].flatMap((bundle) => [...bundle.jwtAuthorities.keys()])
    expect(keys).toEqual([...authority.bundle.jwtAuthorities.keys(), ...partner.bundle.jwtAuthorities.keys()])
  })
})

describe('a workload that gets no answer', () => {
  it('is told how an operator finds out why there is no identity for it', async () => {
    fake.setSvids([])
    const error = await workloadApi.fetchX509Context().catch((error: SpiffeError) => error)
    expect(error).toMatchObject({ code: 'no_identity' })
    expect((error as Error).message).toContain(`countersign workload explain ${process.pid}`)
  })

  it('is told when the agent is not there, and whom it asked', async () => {
    const nobody = createWorkloadApi({ socket: 'unix:///nonexistent/agent.sock' })
    const error = await nobody.fetchX509Context().catch((error: SpiffeError) => error)
    nobody.close()
    expect(error).toMatchObject({ code: 'unavailable' })
    expect((error as Error).message).toContain('/nonexistent/agent.sock')
    expect((error as Error).message).not.toContain('Resolution note')
  })

  it('does not wait for an agent that says nothing', async () => {
    const patient = createWorkloadApi({ socket: fake.socket, timeoutSeconds: 0.2 })
    fake.answerNothing()
    await expect(patient.fetchX509Context()).rejects.toMatchObject({ code: 'unavailable' })
    patient.close()
  })

  it('keeps an answer that breaks the standard out', async () => {
    const [mine, others] = [authority.x509Svid('/billing'), authority.x509Svid('/billing')]
    fake.setSvids([{ ...mine, privateKey: others.privateKey }])
    await expect(workloadApi.fetchX509Context()).rejects.toMatchObject({ code: 'invalid_svid' })
    fake.setSvids([{ ...mine, id: authority.x509Svid('/admin').id }])
    await expect(workloadApi.fetchX509Context()).rejects.toMatchObject({ code: 'invalid_svid' })
  })

  it('takes no JWT-SVID that is for others than were asked for', () => {
    const svid = authority.jwtSvid('/billing', ['orders'])
    const response = { svids: [{ spiffeId: 'spiffe://example.org/billing', svid, hint: '' }] }
    expect(readJwtSvids(response, ['orders'])).toHaveLength(1)
    expect(() => readJwtSvids(response, ['orders', 'stock'])).toThrow(expect.objectContaining({ code: 'invalid_svid' }))
  })

  it('goes on watching after such an answer, and after the agent was away', async () => {
    const seen: string[] = []
    const errors: string[] = []
    workloadApi.watchX509Context(
      ({ svids }) => seen.push(svids[0]!.id.path),
      (error) => errors.push(error.code),
    )
    await vi.waitFor(() => expect(seen).toEqual(['/billing']), patience)
    fake.setSvids([{ ...authority.x509Svid('/a'), privateKey: authority.x509Svid('/b').privateKey }])
    await vi.waitFor(() => expect(errors).toEqual(['invalid_svid']), patience)
    fake.failWith(status.UNAVAILABLE)
    await vi.waitFor(() => expect(errors).toContain('unavailable'), patience)
    fake.failWith(undefined)
    fake.setSvids([authority.x509Svid('/c')])
    await vi.waitFor(() => expect(seen).toEqual(['/billing', '/c']), patience)
  })
})
