import { createServer, type Server } from 'node:http'
import { createMemorySingleUse } from '@countersign/limits'
import { afterEach, describe, expect, it } from 'vitest'
import { openAdminApi } from '../../../server/src/admin/admin-api.fixture.ts'
import { GuardConfigurationError } from '../guard-error.ts'
import { closing, listening } from '../listening.fixture.ts'
import { reasonOf } from '../service-token/reason.fixture.ts'
import { startSenders } from '../service-token/senders.fixture.ts'
import { createServiceTokenVerifier } from '../service-token/service-token-verifier.ts'
import type { ServiceTokenValidation } from '../service-token/validation.ts'
import type { AuditEvent } from './audit-event.ts'
import { createAuditReporter } from './audit-reporter.ts'

const refused = (changes: Partial<ServiceTokenValidation> = {}): ServiceTokenValidation => ({
  outcome: 'refused',
  transport: 'http',
  profile: 'm2m',
  receiver: 'inventory-service',
  sender: 'order-service',
  claimedSender: 'order-service',
  reason: 'digest',
  target: 'POST /v1/stock',
  ...changes,
})

const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await closing(server)
})

/** The audit trail as far as a reporter sees it. */
async function startTrail() {
  const reports: AuditEvent[][] = []
  const trail = { url: '', reports, status: 201, events: () => reports.flat() }
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    if (trail.status === 201) reports.push(JSON.parse(String(Buffer.concat(chunks))).events)
    response.writeHead(trail.status).end('{}')
  })
  servers.push(server)
  trail.url = await listening(server)
  return trail
}

describe('an audit reporter', () => {
  it('brings what a guard refused to the audit trail of the real server', async () => {
    const server = await openAdminApi()
    const url = await server.app.listen({ host: '127.0.0.1', port: 0 })
    const { token } = await server.administrator('inventory-guard', ['audit:write'])
    const authorized: typeof fetch = (input, init) =>
      fetch(input, { ...init, headers: { ...init?.headers, authorization: `Bearer ${token}` } })
    const reporter = createAuditReporter({ url, fetch: authorized, service: 'inventory-service' })
    const senders = await startSenders()
    const order = await senders.add('order')
    const uses = createMemorySingleUse()
    const options = { name: 'inventory', keys: senders.template, uses, onValidation: reporter }
    const verifier = createServiceTokenVerifier(options)
    const call = { method: 'POST', target: '/v1/stock\u007f?secret=1', content: '{}' }
    const received = { transport: 'http', ...call, content: Buffer.from(call.content) } as const
    const service = order.forCall(call)
    await reasonOf(verifier.verify(service, received))
    for (let round = 0; round < 3; round++) await reasonOf(verifier.verify(service, received))
    await reasonOf(verifier.verify(order.forCall(call), { ...received, target: '/cs_secret_x' }))
    await reasonOf(verifier.verify('nonsense', received))
    await reporter.close()
    expect(reporter.dropped).toBe(0)
    const { body } = await server.call('GET', '/audit-events?type=service_token.refused&order=asc')
    const told = body.items.map(
      ({ client_id, reason, count, target, detail }: AuditEvent & { detail: Record<string, string> }) => {
        return { client_id, reason: String(reason).split(':')[0], count, target, by: detail.reported_by }
      },
    )
    const by = 'inventory-guard'
    expect(told).toEqual([
      { client_id: 'order-service', reason: 'replayed', count: 3, target: 'POST /v1/stock?', by },
      { client_id: 'order-service', reason: 'target', count: undefined, target: 'POST /cs_secret?x', by },
      { client_id: undefined, reason: 'malformed', count: undefined, target: 'POST /v1/stock?', by },
    ])
    expect(JSON.stringify(body)).not.toContain(service)
    await senders.stop()
    await server.close()
  })

  it('says of a sender that is not proven that it is not', async () => {
    const trail = await startTrail()
    const reporter = createAuditReporter({ url: trail.url, fetch, service: 'inventory-service' })
    reporter(refused({ sender: undefined, reason: 'signature' }))
    reporter(refused({ sender: undefined, claimedSender: undefined, reason: 'malformed' }))
    reporter({ ...refused(), outcome: 'accepted', reason: undefined })
    reporter(refused({ outcome: 'unavailable', reason: 'keys_unavailable' }))
    await reporter.close()
    expect(trail.events().map(({ type, client_id, reason }) => [type, client_id, reason])).toEqual([
      ['service_token.refused', 'order-service', 'signature (sender not proven): '],
      ['service_token.refused', undefined, 'malformed: '],
      ['service_token.unchecked', 'order-service', 'keys_unavailable: '],
    ])
  })

  it('gathers, and sends at most a hundred at once', async () => {
    const trail = await startTrail()
    const reporter = createAuditReporter({ url: trail.url, fetch, service: 's', gatherMilliseconds: 10 })
    for (let index = 0; index < 250; index++) reporter(refused({ target: `POST /${index}` }))
    await expect.poll(() => trail.events().length).toBe(250)
    expect(trail.reports.map(({ length }) => length)).toEqual([100, 100, 50])
    await reporter.close()
  })

  it('keeps a bounded number during an outage, then tells how many it lost', async () => {
    const trail = await startTrail()
    trail.status = 503
    const problems: string[] = []
    const onProblem = (message: string) => void problems.push(message)
    const options = { url: trail.url, fetch, service: 's', gatherMilliseconds: 5, maximumWaiting: 20, onProblem }
    const reporter = createAuditReporter(options)
    for (let index = 0; index < 50; index++) reporter(refused({ target: `POST /${index}` }))
    expect(reporter.dropped).toBe(30)
    await expect.poll(() => problems).toEqual([expect.stringMatching(/503/)])
    trail.status = 201
    await expect.poll(() => trail.events().length).toBe(21)
    expect(trail.events().at(-1)).toMatchObject({ type: 'service_token.unreported', count: 30 })
    await reporter.close()
    expect(trail.events()).toHaveLength(21)
  })

  it('keeps room for those who are proven, whatever a flood of strangers makes up', async () => {
    const trail = await startTrail()
    const reporter = createAuditReporter({ url: trail.url, fetch, service: 's', maximumWaiting: 20 })
    for (let index = 0; index < 1_000; index++) {
      const stranger = { sender: undefined, claimedSender: `stranger-${index}-service`, target: `POST /${index}` }
      reporter(refused({ ...stranger, reason: 'signature' }))
    }
    for (let index = 0; index < 9; index++) reporter(refused({ target: `POST /${index}`, reason: 'sender' }))
    await reporter.close()
    expect(reporter.dropped).toBe(0)
    expect(trail.events().filter(({ reason }) => reason!.startsWith('sender:'))).toHaveLength(9)
    const rest = trail.events().find(({ count }) => count !== undefined)
    expect(rest).toMatchObject({ count: 990, reason: 'signature (sender not proven): ' })
    expect(rest).not.toHaveProperty('client_id')
    expect(rest).not.toHaveProperty('target')
  })

  it('gives up what the trail refuses, and ends although it is away', async () => {
    const trail = await startTrail()
    trail.status = 403
    const problems: string[] = []
    const onProblem = (message: string) => void problems.push(message)
    const denied = createAuditReporter({ url: trail.url, fetch, service: 's', gatherMilliseconds: 5, onProblem })
    denied(refused())
    denied(refused())
    await expect.poll(() => denied.dropped).toBe(2)
    await denied.close()
    expect(problems).toEqual([expect.stringMatching(/403/)])
    await closing(servers.pop()!)
    const away = createAuditReporter({ url: trail.url, fetch, service: 's', onProblem })
    away(refused())
    await away.close()
    expect([away.dropped, problems.at(-1)]).toEqual([1, expect.stringMatching(/cannot be reached/)])
    away(refused())
    expect(away.dropped).toBe(1)
  })

  it('needs the URL of a server', () => {
    for (const url of ['', 'auth', 'file:///x']) {
      expect(() => createAuditReporter({ url, fetch, service: 's' })).toThrow(GuardConfigurationError)
    }
  })
})
