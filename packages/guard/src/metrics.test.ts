import { createMemorySingleUse } from '@countersign/limits'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { countServiceTokens } from './metrics.ts'
import { reasonOf } from './service-token/reason.fixture.ts'
import { startSenders, type TestSender, type TestSenders } from './service-token/senders.fixture.ts'
import { createServiceTokenVerifier } from './service-token/service-token-verifier.ts'

const call = { method: 'POST', target: '/v1/stock', content: '{}' }
const received = { transport: 'http', ...call, content: Buffer.from(call.content) } as const
let senders: TestSenders
let order: TestSender
beforeAll(async () => {
  senders = await startSenders()
  order = await senders.add('order')
})
afterAll(() => senders.stop())

it('counts every validation by sender and reason, and makes no label of a name that is not proven', async () => {
  const registry = new Registry()
  const onValidation = countServiceTokens(registry)
  const uses = createMemorySingleUse()
  const verifier = createServiceTokenVerifier({ name: 'inventory', keys: senders.template, uses, onValidation })
  const token = order.forCall(call)
  await reasonOf(verifier.verify(token, received))
  await reasonOf(verifier.verify(token, received))
  await reasonOf(verifier.verify(token, { ...received, method: 'PUT' }))
  const stranger = await senders.add('stranger')
  for (let index = 0; index < 50; index++) {
    const sender = `ghost-${index}-service`
    const binding = { transport: 'grpc', method: '', digest: null } as const
    const claims = { ...stranger.claims(binding), sender, iss: sender, sub: sender }
    await reasonOf(verifier.verify(stranger.forge(claims), received))
  }
  verifier.refuse({ transport: 'http', target: 'POST /' }, 'malformed')
  expect(await values(registry)).toEqual({
    'order-service http accepted ': 1,
    'order-service http refused replayed': 1,
    'order-service http refused method': 1,
    'unproven http refused sender': 50,
    'unproven http refused malformed': 1,
  })
  expect(await registry.metrics()).not.toContain('ghost')
})

it('lets two verifiers count into one registry, and bounds the senders that it names', async () => {
  const registry = new Registry()
  const [first, second] = [countServiceTokens(registry), countServiceTokens(registry)]
  const event = {
    outcome: 'accepted',
    transport: 'grpc',
    profile: 'm2m',
    receiver: 'a-service',
    target: '/a.B/C',
  } as const
  first({ ...event, sender: 'x-service' })
  second({ ...event, sender: 'x-service' })
  for (let index = 0; index < 1_200; index++) first({ ...event, sender: `s${index}-service` })
  const counted = await values(registry)
  expect(counted['x-service grpc accepted ']).toBe(2)
  expect(counted['other grpc accepted ']).toBe(201)
  expect(Object.keys(counted)).toHaveLength(1_001)
})

async function values(registry: Registry): Promise<Record<string, number>> {
  const [metric] = await registry.getMetricsAsJSON()
  expect(metric?.name).toBe('countersign_service_token_validations_total')
  const entries = (metric?.values ?? []).map(({ labels, value }) => {
    const { sender, transport, outcome, reason } = labels as Record<string, string>
    return [`${sender} ${transport} ${outcome} ${reason}`, value] as const
  })
  return Object.fromEntries(entries)
}
