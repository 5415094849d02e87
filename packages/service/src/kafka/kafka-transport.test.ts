import { kafkaMessageBinding } from '@countersign/tokens'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Problem } from '../problem.ts'
import { type AnyJson, createWorld, type World } from '../world.fixture.ts'
import { brokers, connectKafka, withoutKafka } from './kafka.fixture.ts'

const patience = { timeout: 15_000 }

describe.skipIf(withoutKafka)('a service over Kafka', () => {
  const kafka = connectKafka()
  let world: World
  beforeAll(async () => {
    world = await createWorld()
  })
  afterAll(async () => {
    await world[Symbol.asyncDispose]()
    await kafka.close()
  })
  const environment = { KAFKA_BROKERS: brokers! }

  /** A message signed by a service as the kit's publisher signs it. */
  function signed(
    topic: string,
    message: object,
    { sender = 'order', tenant }: { sender?: string; tenant?: string } = {},
  ) {
    const binding = kafkaMessageBinding({ topic, key: null, message })
    const call = { audience: `kafka:${topic}`, binding, ...(tenant === undefined ? {} : { tenant }) }
    return { ...message, M2MToken: world.signer(sender).sign(call) }
  }

  /** One business API that reads a topic and gathers what its handler got. */
  async function reading(
    options: {
      authOptions?: object
      input?: object
      handler?: (input: AnyJson, context: AnyJson) => unknown
      serviceSettings?: object
    } = {},
  ) {
    const topic = kafka.topicName()
    const got: { input: AnyJson; context: AnyJson }[] = []
    const handler = (input: AnyJson, context: AnyJson) => {
      got.push({ input, context })
      return options.handler?.(input, context)
    }
    const name = `reader-${topic.slice(-12)}`
    const { authOptions = { loginRequired: false, M2MAllowed: true }, input, serviceSettings } = options
    const api = {
      name: 'take',
      authOptions,
      ...(input && { input }),
      kafkaSettings: { hasKafkaController: true, requestTopic: topic },
    }
    const document = { businessApis: [api], ...(serviceSettings && { serviceSettings }) }
    const service = await world.start(name, document, { handlers: { take: handler }, environment })
    return { topic, got, service, name, letters: (count: number) => kafka.read(`${topic}.dead-letter`, count) }
  }

  it('hands a published message to the operation of its topic, and says who published it', async () => {
    const { topic, got, service } = await reading()
    const order = await world.start(
      'order',
      { actions: { publishEventActions: [{ name: 'tell', topic, message: '{ id: this.id }', key: 'this.id' }] } },
      { environment },
    )
    await order.publisher.publish(topic, { id: 1 })
    await order.actions.tell!({ id: 2, tenant: 'acme' })
    await vi.waitFor(() => expect(got.length).toBe(2), patience)
    expect(got.map(({ input }) => input)).toEqual([{ id: 1 }, { id: 2 }])
    expect(got[0]!.context).toMatchObject({
      transport: 'kafka',
      caller: { method: 'service_token', clientId: 'order-service' },
      m2mPayload: { sender: 'order-service', aud: `kafka:${topic}` },
    })
    expect(got.map(({ context }) => context.tenant)).toEqual([undefined, 'acme'])
    const [first, second] = await kafka.read(topic, 2)
    expect(JSON.parse(first!.value!.toString())).toEqual({ id: 1, M2MToken: expect.any(String) })
    expect(second!.key).toBe('2')
    await service.stop()
  })

  it('makes its topics with the time of appending, and warns of one that has the time of its writers', async () => {
    const { topic } = await reading()
    expect(await kafka.settings(topic)).toMatchObject({ 'message.timestamp.type': 'LogAppendTime' })
    const letters = await kafka.settings(`${topic}.dead-letter`)
    expect(Number(letters['max.message.bytes'])).toBeGreaterThan(2 * 1_048_576)
    expect(world.log.lines.filter((line) => line.includes(topic) && line.includes('CreateTime'))).toEqual([])
    const other = kafka.topicName()
    await kafka.createTopic(other)
    const api = { name: 'take', kafkaSettings: { hasKafkaController: true, requestTopic: other } }
    await world.start('other', { businessApis: [api] }, { handlers: { take: () => {} }, environment })
    expect(world.log.lines.filter((line) => line.includes(other) && line.includes('CreateTime')).length).toBe(1)
  })

  it('puts aside what is refused or fails, with the reason, and goes on', async () => {
    const { topic, got, letters } = await reading({
      input: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'], additionalProperties: false },
      handler({ n }) {
        if (n === 1) throw new Problem(409, 'out_of_stock', 'there is none left')
        if (n === 2) throw new Error('canary: the password is swordfish')
      },
    })
    const token = signed(topic, { n: 0 }).M2MToken
    await kafka.write(topic, { n: 0 })
    await kafka.write(topic, { n: 7, M2MToken: token })
    await kafka.write(topic, signed('elsewhere', { n: 0 }))
    await kafka.write(topic, signed(topic, { n: 'text' }))
    await kafka.write(topic, signed(topic, { n: 1 }))
    await kafka.write(topic, signed(topic, { n: 2 }))
    await kafka.write(topic, Buffer.from('no JSON'), { 'm2m-token': token })
    await kafka.write(topic, signed(topic, { n: 3 }))
    await vi.waitFor(() => expect(got.map(({ input }) => input.n)).toEqual([1, 2, 3]), patience)
    const notes = (await letters(7)).map(({ headers }) => headers)
    expect(notes.map((note) => [note['m2m-error'], note['m2m-reason']])).toEqual([
      ['RequiresM2MToken', 'missing_credential'],
      ['InvalidM2MToken', 'digest'],
      ['InvalidM2MToken', 'aud'],
      ['invalid_input', 'invalid_input'],
      ['out_of_stock', 'out_of_stock'],
      ['operation_failed', 'operation_failed'],
      ['InvalidM2MToken', 'digest'],
    ])
    expect(notes[4]!['m2m-message']).toBe('there is none left')
    const logged = world.log.lines.map((line) => JSON.parse(line)).filter(({ transport }) => transport === 'kafka')
    const reasons = notes.map((note) => note['m2m-reason'])
    expect(logged.filter(({ status }) => status >= 400).map(({ reason }) => reason)).toEqual(reasons)
    expect(JSON.stringify(notes)).not.toContain('canary')
    expect(world.log.lines.some((line) => line.includes('canary'))).toBe(true)
    expect(world.log.lines.filter((line) => line.includes('eyJ'))).toEqual([])
  })

  it('refuses who is in the block list of the document', async () => {
    const lists = { serviceOptions: { machineToMachineBlockList: ['order'] } }
    const { topic, letters, got } = await reading({ serviceSettings: lists })
    await kafka.write(topic, signed(topic, { n: 1 }))
    await kafka.write(topic, signed(topic, { n: 2 }, { sender: 'billing' }))
    await vi.waitFor(() => expect(got.map(({ input }) => input.n)).toEqual([2]), patience)
    const [letter] = await letters(1)
    expect(letter!.headers['m2m-message']).toBe("M2M token sender 'order-service' is in the M2M block list")
  })

  it('decides who calls by the tenant that the token is signed for', async () => {
    const { topic, letters, got } = await reading({ serviceSettings: { serviceOptions: { multiTenant: true } } })
    await kafka.write(topic, signed(topic, { n: 1 }), { 'x-tenant-id': 'acme' })
    await kafka.write(topic, signed(topic, { n: 2 }, { tenant: 'acme' }), { 'X-Tenant-Id': 'evil' })
    await kafka.write(topic, signed(topic, { n: 3 }, { tenant: 'acme' }), { 'x-tenant-id': '../acme' })
    await kafka.write(topic, signed(topic, { n: 4 }, { tenant: 'acme' }), { 'x-tenant-id': 'acme' })
    await kafka.write(topic, signed(topic, { n: 5 }, { tenant: 'acme' }))
    await vi.waitFor(() => expect(got.map(({ input }) => input.n)).toEqual([4, 5]), patience)
    expect(got.map(({ context }) => context.tenant)).toEqual(['acme', 'acme'])
    const reasons = (await letters(3)).map(({ headers }) => headers['m2m-reason'])
    expect(reasons).toEqual(['tenant', 'tenant', 'malformed_tenant'])
  })

  it('has committed what it has handled when it has stopped, and waits for what it is at', async () => {
    let ended = 0
    const { topic, got, service, name } = await reading({
      async handler() {
        await new Promise((resolve) => setTimeout(resolve, 300))
        ended += 1
      },
    })
    for (const n of [1, 2, 3]) await kafka.write(topic, signed(topic, { n }))
    await vi.waitFor(() => expect(got.length).toBe(1), patience)
    await service.stop()
    expect(ended).toBe(got.length)
    expect(await kafka.committed(`${name}-service`, topic)).toBe(ended)
    expect(ended).toBeLessThan(3)
  })

  it('does not start without brokers, or with brokers that are not there', async () => {
    const api = (name: string, requestTopic: string) => ({
      name,
      kafkaSettings: { hasKafkaController: true, requestTopic },
    })
    const handlers = { one: () => {} }
    const document = { businessApis: [api('one', 'a.topic')] }
    const without = await world.create('lonely', document, { handlers })
    await expect(without.start()).rejects.toThrow(/a\.topic.*set KAFKA_BROKERS/)
    const away = await world.create('lonely', document, { handlers, environment: { KAFKA_BROKERS: '127.0.0.1:1' } })
    await expect(away.start()).rejects.toMatchObject({
      code: 'cannot_start',
      message: 'Kafka at 127.0.0.1:1 cannot be used (ECONNREFUSED); check KAFKA_BROKERS',
    })
  })
})
