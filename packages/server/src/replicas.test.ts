import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  addKeyClient,
  askToken,
  disableClient,
  kidOf,
  publishedKids,
  revokeSecret,
  startReplicas,
} from './replicas.fixture.ts'
import { postForm, type TestServer } from './server.fixture.ts'
import { revokeSigningKey, rotateSigningKey } from './signing-keys/lifecycle.ts'
import { eventually } from './storage/services.fixture.ts'
import { describePostgres, type FreshDatabase, freshDatabase } from './storage/stores.fixture.ts'

describePostgres('two replicas on one PostgreSQL', () => {
  let fresh: FreshDatabase
  let one: TestServer
  let other: TestServer

  beforeAll(async () => {
    fresh = await freshDatabase('postgres')
    ;[one, other] = await startReplicas(fresh.url)
  })

  afterAll(async () => {
    await one?.close()
    await other?.close()
    await fresh?.drop()
  })

  it('know at once a client that was created on the other, even when it was asked for too early', async () => {
    const early = await askToken(other, { id: 'svc-new', secret: 'cs_secret_wrong', secretId: '' })
    expect(early.status).toBe(401)
    const client = await one.addClient('svc-new')
    await eventually(async () => (await askToken(other, client)).status === 200)
  })

  it('refuse a secret soon after it was revoked on the other', async () => {
    const client = await one.addClient('svc-revoked')
    await eventually(async () => (await askToken(other, client)).status === 200)
    await revokeSecret(one, client)
    await eventually(async () => (await askToken(other, client)).status === 401)
    expect((await askToken(one, client)).status).toBe(401)
  })

  it('refuse a client soon after it was disabled on the other', async () => {
    const client = await one.addClient('svc-disabled')
    await eventually(async () => (await askToken(other, client)).status === 200)
    await disableClient(one, client.id)
    await eventually(async () => (await askToken(other, client)).status === 401)
  })

  it('never answer with an old grant once the change was seen, however the reads interleave', async () => {
    const client = await one.addClient('svc-busy')
    await eventually(async () => (await askToken(other, client)).status === 200)
    let seenAt = Number.POSITIVE_INFINITY
    const late: number[] = []
    const asking = Array.from({ length: 4 }, async () => {
      while (performance.now() < seenAt + 500) {
        const asked = performance.now()
        const { status } = await askToken(other, client)
        if (status === 200 && asked > seenAt) late.push(asked - seenAt)
        if (status === 401) seenAt = Math.min(seenAt, performance.now())
      }
    })
    await revokeSecret(one, client)
    await Promise.all(asking)
    expect(late).toEqual([])
    expect((await askToken(other, client)).status).toBe(401)
  })

  it('soon sign with the key that the other rotated to, and publish the old one still', async () => {
    const client = await one.addClient('svc-rotation')
    const before = kidOf((await askToken(other, client)).json.access_token)
    const kid = await rotateSigningKey('ES256', one.authority.keys)
    await eventually(async () => kidOf((await askToken(other, client)).json.access_token) === kid)
    expect(await publishedKids(other)).toEqual(expect.arrayContaining([before, kid]))
  })

  it('neither publish nor sign with a key soon after it was revoked on the other', async () => {
    const client = await one.addClient('svc-revoked-key')
    const kid = kidOf((await askToken(other, client)).json.access_token)
    await revokeSigningKey(kid, one.authority.keys)
    await eventually(async () => !(await publishedKids(other)).includes(kid))
    expect(kidOf((await askToken(other, client)).json.access_token)).not.toBe(kid)
  })

  it('publish the same keys', async () => {
    await rotateSigningKey('ES256', other.authority.keys)
    await eventually(
      async () => JSON.stringify(await publishedKids(one)) === JSON.stringify(await publishedKids(other)),
    )
  })

  it('refuse an assertion that was used at the other, by the database alone', async () => {
    const assertion = await addKeyClient(one, 'svc-assertion')
    const form = assertion()
    await eventually(async () => (await postForm(`${other.url}/oauth/token`, assertion())).status === 200)
    expect((await postForm(`${one.url}/oauth/token`, form)).status).toBe(200)
    expect((await postForm(`${other.url}/oauth/token`, form)).status).toBe(401)
    expect((await postForm(`${one.url}/oauth/token`, form)).status).toBe(401)
  })

  it('accept an assertion once when a hundred copies arrive at both at once', async () => {
    const assertion = await addKeyClient(one, 'svc-hundred')
    await eventually(async () => (await postForm(`${other.url}/oauth/token`, assertion())).status === 200)
    const form = assertion()
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) => postForm(`${(index % 2 ? one : other).url}/oauth/token`, form)),
    )
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(99)
  })

  it('write audit chains of their own', async () => {
    const rows = await one.authority.store.database.selectFrom('audit_heads').select('chain').execute()
    expect(new Set(rows.map(({ chain }) => chain)).size).toBe(2)
  })

  it('hear of changes again after the connection that listens was killed', async () => {
    const client = await one.addClient('svc-listening')
    await eventually(async () => (await askToken(other, client)).status === 200)
    await fresh.run(
      `select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'listen %' and datname = current_database()`,
    )
    await revokeSecret(one, client)
    await eventually(async () => (await askToken(other, client)).status === 401)
  })

  it('survive the killing of every connection at once', async () => {
    const client = await one.addClient('svc-killed')
    await fresh.run(
      `select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()`,
    )
    await eventually(async () => (await askToken(one, client)).status === 200)
    await eventually(async () => (await askToken(other, client)).status === 200)
  })
})

describe('one replica name used twice', () => {
  it.skipIf(!process.env.COUNTERSIGN_TEST_POSTGRES_URL)('has nothing refused', async () => {
    const fresh = await freshDatabase('postgres')
    const [one, other] = await startReplicas(fresh.url, () => ({ settings: { replica: 'same' } }))
    const client = await one.addClient('svc')
    await eventually(async () => (await askToken(other, client)).status === 200)
    const answers: number[] = []
    for (let index = 0; index < 10; index++) {
      answers.push((await askToken(one, client)).status, (await askToken(other, client)).status)
    }
    expect(answers.filter((status) => status !== 200)).toEqual([])
    await one.close()
    await other.close()
    await fresh.drop()
  })
})
