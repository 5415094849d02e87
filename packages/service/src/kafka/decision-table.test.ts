import { kafkaMessageBinding } from '@countersign/tokens'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type AnyJson, createWorld, type World } from '../world.fixture.ts'
import { brokers, connectKafka, withoutKafka } from './kafka.fixture.ts'

const rows = [
  { M2MAllowed: true, loginRequired: false },
  { M2MAllowed: true, loginRequired: true },
  { M2MAllowed: false, loginRequired: true },
  { M2MAllowed: false, loginRequired: false },
] as const

/** Every row of the table, for business APIs and edge controllers, over Kafka. */
describe.skipIf(withoutKafka).each(['businessApi', 'edgeController'] as const)(
  'the decision table for a %s',
  (kind) => {
    const kafka = connectKafka()
    const topics = rows.map(() => kafka.topicName())
    const got: { n: number; caller: string | null; sender: string | null; session: string | null; body: AnyJson }[] = []
    let world: World
    beforeAll(async () => {
      world = await createWorld()
      const note = (body: AnyJson, { caller, m2mPayload, session }: AnyJson) => {
        got.push({
          n: body.n,
          caller: caller?.subject ?? null,
          sender: m2mPayload?.sender ?? null,
          session: session?.subject ?? null,
          body,
        })
      }
      const options = { environment: { KAFKA_BROKERS: brokers! } }
      if (kind === 'businessApi') {
        const handlers = Object.fromEntries(rows.map((_, index) => [`take${index}`, note]))
        const businessApis = rows.map((authOptions, index) => ({
          name: `take${index}`,
          authOptions,
          kafkaSettings: { hasKafkaController: true, requestTopic: topics[index] },
        }))
        await world.start(`table-${topics[0]!.slice(-12)}`, { businessApis }, { ...options, handlers })
      } else {
        const functions = Object.fromEntries(
          rows.map((_, index) => [`take${index}`, (req: AnyJson) => note(req.body, req)]),
        )
        const edgeControllers = rows.map((row, index) => ({
          edgeControllerOptions: { functionName: `take${index}`, ...row },
          edgeKafkaSettings: { kafkaEnabled: true, requestTopic: topics[index] },
        }))
        await world.start(`table-${topics[0]!.slice(-12)}`, { edgeControllers }, { ...options, functions })
      }
    })
    afterAll(async () => {
      await world[Symbol.asyncDispose]()
      await kafka.close()
    })

    it('is held to', async () => {
      const [m2m, both, login, open] = topics as [string, string, string, string]
      const signed = (topic: string, message: object) => {
        const binding = kafkaMessageBinding({ topic, key: null, message })
        return { ...message, M2MToken: world.signer('order').sign({ audience: `kafka:${topic}`, binding }) }
      }
      const sessionToken = world.userToken()
      const nonsense = { M2MToken: 'not.a.token' }

      await kafka.write(m2m, signed(m2m, { n: 1 }))
      await kafka.write(m2m, { n: 2 })
      await kafka.write(m2m, { n: 3, sessionToken })
      await kafka.write(m2m, { n: 4, sessionToken, ...nonsense })

      await kafka.write(both, signed(both, { n: 5 }))
      await kafka.write(both, signed(both, { n: 6, sessionToken }))
      await kafka.write(both, { n: 7, sessionToken })
      await kafka.write(both, { n: 8, sessionToken, ...nonsense })
      await kafka.write(both, { n: 9 })

      await kafka.write(login, { n: 10, sessionToken, ...nonsense })
      await kafka.write(login, signed(login, { n: 11 }))
      await kafka.write(login, { n: 12, sessionToken: world.userToken({ iat: 1, exp: 2 }) })
      await kafka.write(login, { n: 13, sessionToken: { subject: 'admin' } })
      await kafka.write(login, { n: 14, session: { subject: 'admin' }, m2mPayload: { sender: 'admin-service' } })

      await kafka.write(open, { n: 15, ...nonsense, m2mPayload: { sender: 'admin-service' } })
      await kafka.write(open, signed(open, { n: 16, sessionToken }))

      await vi.waitFor(() => expect(got.length).toBe(7), { timeout: 15_000 })
      const bySession = { caller: 'alice', sender: null, session: 'alice' }
      const byToken = { caller: 'order-service', sender: 'order-service', session: null }
      const byNobody = { caller: null, sender: null, session: null }
      const seen = Object.fromEntries(got.map(({ n, body, ...who }) => [n, who]))
      expect(seen).toEqual({
        1: byToken,
        5: byToken,
        6: byToken,
        7: bySession,
        10: bySession,
        15: byNobody,
        16: byNobody,
      })
      for (const { n, body } of got) expect(body).toEqual({ n })

      const errors = async (topic: string, count: number) =>
        (await kafka.read(`${topic}.dead-letter`, count)).map(({ headers }) => headers['m2m-error'])
      expect(await errors(m2m, 3)).toEqual(['RequiresM2MToken', 'RequiresM2MToken', 'InvalidM2MToken'])
      expect(await errors(both, 2)).toEqual(['InvalidM2MToken', 'missing_credential'])
      expect(await errors(login, 4)).toEqual([
        'missing_credential',
        'invalid_token',
        'invalid_request',
        'missing_credential',
      ])
    })
  },
)
