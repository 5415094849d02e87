import { afterAll, beforeAll, expect, it } from 'vitest'
import { startTestServer, type TestServer } from '../server.fixture.ts'
import { workloadIdentityOf } from '../workload-identity.ts'
import { createMetrics } from './metrics.ts'

let server: TestServer

beforeAll(async () => {
  server = await startTestServer()
})
afterAll(() => server.close())

it('has a bounded number of series, whatever types of events are reported', async () => {
  const { registry } = createMetrics(server.authority)
  const { audit } = server.authority
  await Promise.all(
    Array.from({ length: 200 }, (_, index) => audit.record({ type: `made_up_${index}.refused`, outcome: 'failure' })),
  )
  await server.token(await server.addClient('svc'))
  const text = await registry.metrics()
  expect(text).not.toContain('made_up')
  expect(text).toContain('countersign_audit_events_total{type="reported",outcome="failure"} 200')
  expect(text).toContain('countersign_audit_events_total{type="token.issued",outcome="success"} 1')
})

it('tells when the authorities that sign now expire', async () => {
  const { authority, close } = await startTestServer({ settings: { spiffe: { trustDomain: 'example.org' } } })
  try {
    const text = await createMetrics(authority).registry.metrics()
    const { notAfter } = workloadIdentityOf(authority).ca.issuer().certificate
    expect(text).toContain(`countersign_certificate_authority_expiry_seconds{kind="x509"} ${notAfter}`)
    expect(text).toContain('countersign_certificate_authority_expiry_seconds{kind="jwt"} ')
    expect(await createMetrics(server.authority).registry.metrics()).not.toContain('certificate_authority')
  } finally {
    await close()
  }
})
