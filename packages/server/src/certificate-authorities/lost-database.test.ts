import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startTestServer, type TestServer } from '../server.fixture.ts'
import { eventually, hasOwnPostgres, type OwnPostgres, ownPostgres } from '../storage/services.fixture.ts'
import { type FreshDatabase, freshPostgresDatabase } from '../storage/stores.fixture.ts'
import { workloadIdentityOf } from '../workload-identity.ts'
import { rotateAuthority } from './lifecycle.ts'

describe.skipIf(!hasOwnPostgres)('authorities that lose their PostgreSQL', () => {
  let postgres: OwnPostgres
  let fresh: FreshDatabase
  let server: TestServer

  beforeAll(async () => {
    // With its real fsync: what was committed is there after a crash.
    postgres = await ownPostgres({ durable: true })
  })
  afterAll(() => postgres?.stop())
  beforeEach(async () => {
    fresh = await freshPostgresDatabase(postgres.url)
    server = await startTestServer({ databaseUrl: fresh.url, settings: { spiffe: { trustDomain: 'example.org' } } })
  })
  afterEach(async () => {
    await server.close()
    await fresh.drop()
  })

  const bundle = async () => (await (await fetch(`${server.url}/spiffe/bundle`)).json()) as { spiffe_sequence: number }
  const identity = () => workloadIdentityOf(server.authority)

  it('publish their bundle still', async () => {
    const before = await bundle()
    postgres.crash()
    await new Promise((resolve) => setTimeout(resolve, 1_200))
    expect(await bundle()).toEqual(before)
    expect(identity().ca.issuer().certificate.isCa).toBe(true)
    postgres.start()
  })

  it('are one whole CA after the database died again and again in the middle of rotations', async () => {
    let seen = (await bundle()).spiffe_sequence
    for (let death = 0; death < 4; death += 1) {
      const { authorities } = identity()
      const rotating = Array.from({ length: 3 }, () =>
        rotateAuthority('x509', authorities, { force: true }).catch(() => {}),
      )
      await new Promise((resolve) => setTimeout(resolve, death * 4))
      postgres.crash()
      await Promise.all(rotating)
      postgres.start()
      await eventually(() =>
        identity()
          .authorities.store.ping()
          .then(() => true),
      )
      const rows = (await fresh.run(
        `select id, roots from certificate_authorities where kind = 'x509' and status = 'active'`,
      )) as { id: string; roots: string }[]
      expect(rows).toHaveLength(1)
      await eventually(() => identity().ca.issuer().certificate.subjectKeyId === rows[0]?.id)
      const [state] = (await fresh.run('select sequence_number as number from bundle_state')) as { number: string }[]
      const { spiffe_sequence: number } = await bundle()
      expect(number).toBe(Number(state?.number))
      expect(number).toBeGreaterThanOrEqual(seen)
      const published = identity()
        .ca.bundle()
        .x509Authorities.map(({ der }) => der.toString('base64'))
      expect(published).toContain(JSON.parse(rows[0]?.roots ?? '[]')[0])
      seen = number
    }
  }, 60_000)
})
