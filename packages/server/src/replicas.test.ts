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

const second = 1_000

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
    await eventually(async () => (await askToken(other, client)).status === 200, second)
  })

  it('refuse a secret within a second after it was revoked on the other', async () => {
    const client = await one.addClient('svc-revoked')
    await eventually(async () => (await askToken(other, client)).status === 200, second)
    await revokeSecret(one, client)
    await eventually(async () => (await askToken(other, client)).status === 401, second)
    expect((await askToken(one, client)).status).toBe(401)
  })

  it('refuse a client within a second after it was disabled on the other', async () => {
    const client = await one.addClient('svc-disabled')
    await eventually(async () => (await askToken(other, client)).status === 200, second)
    await disableClient(one, client.id)
    await eventually(async () => (await askToken(other, client)).status === 401, second)
  })

  it('never answer with an old grant once the change was seen, however the reads interleave', async () => {
    const client = await one.addClient('svc-busy')
    await eventually(async () => (await askToken(other, client)).status === 200, second)
    let revoked = false
    const late: number[] = []
    const asking = Array.from({ length: 4 }, async () => {
      while (!revoked) await askToken(other, client)
      for (const until = Date.now() + second; Date.now() < until; ) {
        const asked = Date.now()
        if ((await askToken(other, client)).status === 200) late.push(asked)
      }
    })
    await revokeSecret(one, client)
    const at = Date.now()
    revoked = true
    await Promise.all(asking)
    expect(late.filter((asked) => asked > at + second / 2)).toEqual([])
    expect((await askToken(other, client)).status).toBe(401)
  })

  it('sign within a second with the key that the other rotated to, and publish the old one still', async () => {
    const client = await one.addClient('svc-rotation')
    const before = kidOf((await askToken(other, client)).json.access_token)
    const kid = await rotateSigningKey('ES256', one.authority.keys)
    await eventually(async () => kidOf((await askToken(other, client)).json.access_token) === kid, second)
    expect(await publishedKids(other)).toEqual(expect.arrayContaining([before, kid]))
  })

  it('neither publish nor sign with a key within a second after it was revoked on the other', async () => {
    const client = await one.addClient('svc-revoked-key')
    const kid = kidOf((await askToken(other, client)).json.access_token)
    await revokeSigningKey(kid, one.authority.keys)
    await eventually(async () => !(await publishedKids(other)).includes(kid), second)
    expect(kidOf((await askToken(other, client)).json.access_token)).not.toBe(kid)
  })

  it('publish the same keys', async () => {
    await rotateSigningKey('ES256', other.authority.keys)
    await eventually(
      async () => JSON.stringify(await publishedKids(one)) === JSON.stringify(await publishedKids(other)),
      second,
    )
  })

  it('refuse an assertion that was used at the other, by the database alone', async () => {
    const assertion = await addKeyClient(one, 'svc-assertion')
    const form = assertion()
    await eventually(async () => (await postForm(`${other.url}/oauth/token`, assertion())).status === 200, second)
    expect((await postForm(`${one.url}/oauth/token`, form)).status).toBe(200)
    expect((await postForm(`${other.url}/oauth/token`, form)).status).toBe(401)
    expect((await postForm(`${one.url}/oauth/token`, form)).status).toBe(401)
  })

  it('accept an assertion once when a hundred copies arrive at both at once', async () => {
    const assertion = await addKeyClient(one, 'svc-hundred')
    await eventually(async () => (await postForm(`${other.url}/oauth/token`, assertion())).status === 200, second)
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
    await eventually(async () => (await askToken(other, client)).status === 200, second)
    await fresh.run(
      `select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'listen %' and datname = current_database()`,
    )
    await revokeSecret(one, client)
    await eventually(async () => (await askToken(other, client)).status === 401, second)
  })

  it('survive the killing of every connection at once', async () => {
    const client = await one.addClient('svc-killed')
    await fresh.run(
      `select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()`,
    )
    await eventually(async () => (await askToken(one, client)).status === 200, 2 * second)
    await eventually(async () => (await askToken(other, client)).status === 200, 2 * second)
  })
})

describe('one replica name used twice', () => {
  it.skipIf(!process.env.COUNTERSIGN_TEST_POSTGRES_URL)('has nothing refused', async () => {
    const fresh = await freshDatabase('postgres')
    const [one, other] = await startReplicas(fresh.url, () => ({ settings: { replica: 'same' } }))
    const client = await one.addClient('svc')
    await eventually(async () => (await askToken(other, client)).status === 200, 2 * second)
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
