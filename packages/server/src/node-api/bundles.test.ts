import { formatBundleDocument } from '@countersign/spiffe'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { setTrustBundle } from '../trust-bundles/manage-trust-bundles.ts'
import {
  ask,
  attestByToken,
  identityOf,
  refusal,
  startTestNodeServer,
  type TestAgent,
  type TestNodeServer,
} from './node-api.fixture.ts'

const other = createTestAuthority('other.example')
let server: TestNodeServer
let agent: TestAgent
let stranger: TestAgent
beforeAll(async () => {
  server = await startTestNodeServer()
  agent = server.connect(await attestByToken(server))
  stranger = server.connect()
  const { authority } = server.server
  const bundle = JSON.parse(formatBundleDocument(other.bundle))
  await setTrustBundle('other.example', { bundle }, { authority, identity: authority.workloadIdentity! }, {})
  await authority.feed.catchUp()
})
afterAll(() => server?.close())

const federated = (trustDomain: string, { bundle } = agent) =>
  ask(bundle.getFederatedBundle, bundle, { trustDomain, outputMask: undefined })

it('gives agents the bundles of other trust domains, each for itself', async () => {
  const bundle = await federated('other.example')
  expect(bundle).toMatchObject({ trustDomain: 'other.example', sequenceNumber: 1, refreshHint: 300 })
  expect(bundle.x509Authorities.map(({ asn1 }) => asn1)).toEqual(other.bundle.x509Authorities.map(({ der }) => der))
  expect(bundle.jwtAuthorities.map(({ keyId }) => keyId)).toEqual([...other.bundle.jwtAuthorities.keys()])
  const own = await ask(agent.bundle.getBundle, agent.bundle, { outputMask: undefined })
  expect(own.x509Authorities).toHaveLength(1)
  expect(own.x509Authorities[0]?.asn1.equals(bundle.x509Authorities[0]?.asn1 as Buffer)).toBe(false)
})

it.each([
  ['a trust domain that is not known', 'third.example', 'NOT_FOUND'],
  ['our own, which is no other', 'example.org', 'INVALID_ARGUMENT'],
  ['what is no trust domain', 'Not a name', 'INVALID_ARGUMENT'],
  ['nothing', '', 'INVALID_ARGUMENT'],
])('has no bundle of %s', async (_what, trustDomain, code) => {
  expect(await refusal(federated(trustDomain))).toMatchObject({ code })
})

it('gives its own bundle to everybody and those of others to agents', async () => {
  const { x509Authorities } = await ask(stranger.bundle.getBundle, stranger.bundle, { outputMask: undefined })
  expect(x509Authorities).toHaveLength(1)
  expect(await refusal(federated('other.example', stranger))).toMatchObject({ code: 'UNAUTHENTICATED' })
})

it('ends connections of the agents and workloads of other trust domains, federated or not, before their first call', async () => {
  for (const path of ['/spire/agent/x509pop/a', '/web']) {
    const { privateKey, certificates } = other.x509Svid(path)
    const chain = certificates.map(({ der }) => der)
    const foreign = server.connect(identityOf(privateKey, chain))
    const asked = ask(foreign.bundle.getBundle, foreign.bundle, { outputMask: undefined })
    expect(await refusal(asked)).toMatchObject({ code: 'UNAVAILABLE' })
  }
})

it('leaves out what the mask does not ask for', async () => {
  const outputMask = { x509Authorities: false, jwtAuthorities: true, refreshHint: true, sequenceNumber: false }
  const bundle = await ask(agent.bundle.getBundle, agent.bundle, { outputMask })
  expect(bundle).toMatchObject({ trustDomain: 'example.org', x509Authorities: [], sequenceNumber: 0 })
  expect(bundle.jwtAuthorities).toHaveLength(1)
})

it('says whether it serves, to those who ask by the health protocol', async () => {
  const check = (service: string) => ask(stranger.health.check, stranger.health, { service })
  expect(await check('')).toEqual({ status: 1 })
  expect(await refusal(check('no.such.Service'))).toMatchObject({ code: 'NOT_FOUND' })
})
