import { generateKeyPairSync } from 'node:crypto'
import { createCertificateRequest, parseCertificate } from '@countersign/spiffe'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  agentId,
  ask,
  attestByToken,
  identityOf,
  newKey,
  nextMessage,
  refusal,
  startTestNodeServer,
  type TestIdentity,
  type TestNodeServer,
} from './node-api.fixture.ts'

let server: TestNodeServer
beforeAll(async () => {
  server = await startTestNodeServer()
})
afterAll(() => server?.close())

const entriesOf = (identity: TestIdentity) =>
  server.asAgent(identity, ({ entry }) => ask(entry.getAuthorizedEntries, entry, { outputMask: undefined }))

async function renew(identity: TestIdentity): Promise<TestIdentity> {
  const { key, csr } = newKey()
  const { svid } = await server.asAgent(identity, ({ agent }) => ask(agent.renewAgent, agent, { params: { csr } }))
  return { key, svid: svid! }
}

it('gives an agent another SVID of the same ID; the first use of it ends the one before', async () => {
  const old = await attestByToken(server)
  const renewed = await renew(old)
  expect(agentId(renewed)).toBe(agentId(old))
  const leaf = parseCertificate(renewed.svid.certChain[0] as Buffer)
  expect(leaf.uris).toEqual([agentId(old)])
  expect(leaf.notAfter).toBe(renewed.svid.expiresAt)
  await entriesOf(old)
  await entriesOf(renewed)
  expect(await refusal(entriesOf(old))).toMatchObject({ code: 'PERMISSION_DENIED', reason: 'AGENT_NOT_ACTIVE' })
  expect(await refusal(renew(old))).toMatchObject({ reason: 'AGENT_NOT_ACTIVE' })
  await entriesOf(await renew(renewed))
})

it('spends a join token at its first use, whatever becomes of it, and tells nothing of others', async () => {
  const token = await server.joinToken()
  await attestByToken(server, token)
  const sentence = 'the join token is unknown, used or expired; make another with: countersign node token create'
  for (const bad of [token, 'no-such-token', '../x', 'a'.repeat(500), "' or 1=1 --"]) {
    expect(await refusal(attestByToken(server, bad))).toEqual({ code: 'INVALID_ARGUMENT', message: sentence })
  }
  const [refused] = await server.events('node.refused')
  expect(refused).toMatchObject({ outcome: 'failure', method: 'join_token', address: '127.0.0.1', reason: sentence })
  expect(JSON.stringify(await server.events())).not.toContain('no-such-token')
})

it('lets one of many who come with the same token at once join', async () => {
  const token = await server.joinToken()
  const tried = await Promise.allSettled(Array.from({ length: 10 }, () => attestByToken(server, token)))
  expect(tried.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
})

it.each([
  ['an unknown way of attestation', { type: 'aws_iid', payload: Buffer.from('x') }, 'FAILED_PRECONDITION'],
  ['no way of attestation', { type: '', payload: Buffer.from('x') }, 'INVALID_ARGUMENT'],
  ['an empty payload', { type: 'join_token', payload: Buffer.alloc(0) }, 'INVALID_ARGUMENT'],
])('refuses %s', async (_what, data, code) => {
  expect(await refusal(attest({ data, params: { csr: newKey().csr } }))).toMatchObject({ code })
})

it('signs no weak or broken request, and spends no token on it', async () => {
  const { privateKey: weak } = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const { csr } = newKey()
  const altered = Buffer.from(csr)
  altered[altered.length - 1] = (altered.at(-1) as number) ^ 1
  const token = await server.joinToken()
  const data = { type: 'join_token', payload: Buffer.from(token) }
  const weakRequest = () => createCertificateRequest({ key: weak })
  for (const bad of [Buffer.alloc(0), Buffer.from('text'), altered, ...tryOr(weakRequest)]) {
    expect(await refusal(attest({ data, params: { csr: bad } }))).toMatchObject({ code: 'INVALID_ARGUMENT' })
  }
  await attestByToken(server, token)
})

it('ends an attestation that begins with anything but its first message', async () => {
  const client = server.connect()
  const call = client.agent.attestAgent()
  const ended = nextMessage(call as never)
  call.write({ step: { $case: 'challengeResponse', value: Buffer.from('x') } })
  expect(await refusal(ended)).toMatchObject({ code: 'INVALID_ARGUMENT' })
  const empty = client.agent.attestAgent()
  const nothing = nextMessage(empty as never)
  empty.end()
  expect(await refusal(nothing)).toMatchObject({ code: 'INVALID_ARGUMENT' })
})

it('notes the version of an agent', async () => {
  const identity = await attestByToken(server)
  const post = (agentVersion: string) =>
    server.asAgent(identity, ({ agent }) => ask(agent.postStatus, agent, { currentBundleSerial: 0, agentVersion }))
  expect(await post('1.15.3')).toEqual({})
  expect(await server.server.authority.workloadIdentity?.nodes.get(agentId(identity))).toMatchObject({})
  expect(await refusal(post('x'.repeat(256)))).toMatchObject({ code: 'INVALID_ARGUMENT' })
})

it('does not take the key of one agent with the certificate of another', async () => {
  const [one, other] = [await attestByToken(server), await attestByToken(server)]
  expect(() => identityOf(one.key, other.svid.certChain)).not.toThrow()
  await expect(entriesOf(identityOf(one.key, other.svid.certChain))).rejects.toThrow()
})

/** @returns when it was answered with a result or a challenge */
async function attest(value: object): Promise<void> {
  await server.asAgent(undefined, async ({ agent }) => {
    const call = agent.attestAgent()
    const answer = nextMessage(call as never)
    call.write({ step: { $case: 'params', value: value as never } })
    await answer
    call.cancel()
  })
}

function tryOr(make: () => Buffer): Buffer[] {
  try {
    return [make()]
  } catch {
    return []
  }
}
