import { type GeneratedKey, generateSigningKey } from '@countersign/tokens'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startReplicas } from '../replicas.fixture.ts'
import type { TestServer } from '../server.fixture.ts'
import { eventually } from '../storage/services.fixture.ts'
import { describePostgres, type FreshDatabase, freshDatabase } from '../storage/stores.fixture.ts'
import { addServiceKey, removeServiceKey, setService, unregisterService } from './manage-services.ts'

const [old, young] = (await Promise.all([generateSigningKey('EdDSA'), generateSigningKey('EdDSA')])) as [
  GeneratedKey,
  GeneratedKey,
]

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

  async function published({ url }: TestServer): Promise<string> {
    const answer = await fetch(`${url}/order/.well-known/jwks.json`)
    if (answer.status !== 200) return String(answer.status)
    return ((await answer.json()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid).join(' ')
  }

  it('soon publish what the other registered, rotated, removed and unregistered', async () => {
    const { authority } = one
    const both = async (text: string) => {
      expect(await published(one)).toBe(text)
      await eventually(async () => (await published(other)) === text)
    }
    await both('404')
    await setService('order', [old.publicJwk], authority, {})
    await both(old.kid)
    await addServiceKey('order', young.publicJwk, authority, {})
    await both(`${old.kid} ${young.kid}`)
    await removeServiceKey('order', old.kid, authority, {})
    await both(young.kid)
    await unregisterService('order', authority, {})
    await both('404')
  })

  it('lose no key when both add one at once', async () => {
    await setService('order', [], one.authority, {})
    await Promise.all([
      addServiceKey('order', old.publicJwk, one.authority, {}),
      addServiceKey('order', young.publicJwk, other.authority, {}),
    ])
    const sorted = (text: string) => text.split(' ').sort()
    for (const replica of [one, other]) {
      await eventually(async () => (await published(replica)).includes(' '))
      expect(sorted(await published(replica))).toEqual([old.kid, young.kid].sort())
    }
  })
})
