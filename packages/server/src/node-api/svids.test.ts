import { generateKeyPairSync } from 'node:crypto'
import { createCertificateRequest, parseCertificate, parseJwtSvidUnverified } from '@countersign/spiffe'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  agentId,
  ask,
  attestByToken,
  newKey,
  refusal,
  startTestNodeServer,
  type TestAgent,
  type TestIdentity,
  type TestNodeServer,
} from './node-api.fixture.ts'

let server: TestNodeServer
let identity: TestIdentity
let client: TestAgent
beforeAll(async () => {
  server = await startTestNodeServer({
    nodeApi: { lifetimes: { x509Seconds: 900, jwtSeconds: 60 }, jwtIssuer: 'https://issuer.example' },
  })
  identity = await attestByToken(server)
  client = server.connect(identity, { countersign: true })
})
afterAll(() => server?.close())

const batch = (params: { entryId: string; csr: Buffer }[]) => ask(client.svid.batchNewX509Svid, client.svid, { params })
const jwt = (entryId: string, audience: string[]) => ask(client.svid.newJwtsvid, client.svid, { entryId, audience })
let count = 0
const entry = (values: object = {}) =>
  server.entry({ parentId: agentId(identity), spiffeId: `spiffe://example.org/w/${++count}`, ...values })
const lifetime = (der: Buffer | undefined) => {
  const { notBefore, notAfter } = parseCertificate(der as Buffer)
  return notAfter - notBefore - 10
}

it('answers each request of a batch by itself, in order, and always says how it went', async () => {
  const { id } = await entry()
  const { csr } = newKey()
  const altered = Buffer.from(csr)
  altered[altered.length - 1] = (altered.at(-1) as number) ^ 1
  const requests = [Buffer.alloc(0), csr, altered, Buffer.from('junk'), newKey().csr]
  const { results } = await batch(requests.map((csr) => ({ entryId: id, csr })))
  expect(results.map(({ status, svid }) => [status?.code, svid?.certChain.length])).toEqual([
    [3, undefined],
    [0, 1],
    [3, undefined],
    [3, undefined],
    [0, 1],
  ])
})

it('signs for the keys that it was asked to, of EC and of RSA', async () => {
  const { id } = await entry()
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const { results } = await batch([{ entryId: id, csr: createCertificateRequest({ key: rsa.privateKey }) }])
  const leaf = parseCertificate(results[0]?.svid?.certChain[0] as Buffer)
  expect(leaf.publicKey.equals(rsa.publicKey)).toBe(true)
})

it('lets an SVID live as long as its entry says, the server where it says nothing, and never beyond the entry', async () => {
  const [plain, short, ending] = [
    await entry(),
    await entry({ x509SvidTtlSeconds: 30, jwtSvidTtlSeconds: 20 }),
    await entry({ expiresAt: server.server.authority.now() + 100 }),
  ]
  const ids = [plain.id, short.id, ending.id]
  const { results } = await batch(ids.map((entryId) => ({ entryId, csr: newKey().csr })))
  const [one, two, three] = results.map(({ svid }) => lifetime(svid?.certChain[0]))
  expect([one, two]).toEqual([900, 30])
  expect(three).toBeLessThanOrEqual(100)
  const { svid } = await jwt(short.id, ['a'])
  expect((svid?.expiresAt ?? 0) - (svid?.issuedAt ?? 0)).toBe(20)
})

it('issues nothing for an entry that has expired or was deleted', async () => {
  const { id } = await entry({ expiresAt: server.server.authority.now() + 1 })
  await expect
    .poll(async () => (await batch([{ entryId: id, csr: newKey().csr }])).results[0]?.status?.code, { timeout: 10_000 })
    .toBe(5)
})

it('takes up to 500 requests at once, and none not at all', async () => {
  const { id } = await entry()
  const { csr } = newKey()
  const { results } = await batch(Array.from({ length: 500 }, () => ({ entryId: id, csr })))
  expect(results.every(({ status }) => status?.code === 0)).toBe(true)
  const serials = new Set(results.map(({ svid }) => parseCertificate(svid?.certChain[0] as Buffer).serialNumber))
  expect(serials.size).toBe(500)
  expect(await refusal(batch(Array.from({ length: 501 }, () => ({ entryId: id, csr }))))).toMatchObject({
    code: 'RESOURCE_EXHAUSTED',
  })
  expect(await refusal(batch([]))).toMatchObject({ code: 'INVALID_ARGUMENT' })
  const issued = await server.events('svid.issued')
  const told = new Set(issued.map(({ detail }) => (detail as { serial_number: string }).serial_number))
  for (const serial of serials) expect(told.has(serial)).toBe(true)
})

it('names the audiences of a JWT-SVID as they were asked for, and refuses to make one for nobody', async () => {
  const { id, spiffeId } = await entry()
  const { svid } = await jwt(id, ['a', '', 'b', 'a'])
  const { claims } = parseJwtSvidUnverified(svid?.token as string)
  expect(claims).toMatchObject({
    sub: spiffeId,
    aud: ['a', 'b'],
    iss: 'https://issuer.example',
    jti: expect.any(String),
  })
  expect(claims.nbf).toBeUndefined()
  const tooMany = Array.from({ length: 65 }, (_, index) => `a${index}`)
  for (const audience of [[], [''], ['x'.repeat(1_025)], tooMany]) {
    expect(await refusal(jwt(id, audience))).toMatchObject({ code: 'INVALID_ARGUMENT' })
  }
})

it('gives entries with demands on the workload only to agents that can enforce them', async () => {
  const { id } = await entry({ policy: { notRoot: true } })
  const spire = server.connect(identity)
  const ofSpire = await ask(spire.entry.getAuthorizedEntries, spire.entry, { outputMask: undefined })
  expect(ofSpire.entries.some((each) => each.id === id)).toBe(false)
  const params = [{ entryId: id, csr: newKey().csr }]
  expect((await ask(spire.svid.batchNewX509Svid, spire.svid, { params })).results[0]?.status?.code).toBe(5)
  const ofOurs = await ask(client.entry.getAuthorizedEntries, client.entry, { outputMask: undefined })
  expect(ofOurs.entries.find((each) => each.id === id)?.policy).toMatchObject({ notRoot: true })
  expect((await batch(params)).results[0]?.status?.code).toBe(0)
})

it('withholds an entry whose node attested itself too long ago, and tells the operator once', async () => {
  const { id } = await entry({ policy: { nodeAttestedWithinSeconds: 1 } })
  const has = async () => {
    const { entries } = await ask(client.entry.getAuthorizedEntries, client.entry, { outputMask: undefined })
    return entries.some((each) => each.id === id)
  }
  await expect.poll(has, { timeout: 5_000 }).toBe(false)
  expect(await has()).toBe(false)
  expect((await batch([{ entryId: id, csr: newKey().csr }])).results[0]?.status?.code).toBe(5)
  await server.server.authority.audit.flush()
  const withheld = await server.events('entry.withheld')
  expect(withheld).toMatchObject([{ target: `node/${agentId(identity)}`, detail: { entries: [id] } }])
})

it('limits what one node may ask for, and counts what is beyond', async () => {
  const svidsPerNode = { name: 'node_svids', quota: 10, windowSeconds: 3_600 }
  const callsPerNode = { name: 'node_calls', quota: 20, windowSeconds: 3_600 }
  const { defaultNodeLimits } = await import('./node-limits.ts')
  const limited = await startTestNodeServer({
    nodeApi: { limits: { ...defaultNodeLimits, svidsPerNode, callsPerNode } },
  })
  const [one, other] = [await attestByToken(limited), await attestByToken(limited)]
  const [first, second] = [limited.connect(one), limited.connect(other)]
  const ten = Array.from({ length: 10 }, () => ({ entryId: 'x', csr: newKey().csr }))
  const { svid } = first
  await ask(svid.batchNewX509Svid, svid, { params: ten })
  expect(await refusal(ask(svid.batchNewX509Svid, svid, { params: ten.slice(0, 1) }))).toMatchObject({
    code: 'RESOURCE_EXHAUSTED',
  })
  await ask(second.svid.batchNewX509Svid, second.svid, { params: ten })
  const calls = Array.from({ length: 30 }, () =>
    refusal(
      ask(first.entry.getAuthorizedEntries, first.entry, { outputMask: undefined }).then(() =>
        Promise.reject(new Error('passed')),
      ),
    ),
  )
  const outcomes = await Promise.all(calls)
  expect(outcomes.filter(({ code }) => code === 'RESOURCE_EXHAUSTED')).toHaveLength(12)
  await limited.close()
})
