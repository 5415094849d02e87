import { randomUUID } from 'node:crypto'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { clients, connectKafka, createVerifier, signed, signedMd5, withoutKafka } from './kafka.fixture.ts'
import type { KafkaMessage } from './kafka-record.ts'
import type { KafkajsConsumptionOptions } from './kafkajs.ts'

const append = { 'message.timestamp.type': 'LogAppendTime' }

describe.skipIf(withoutKafka).each(clients)('consuming with $name', ({ start }) => {
  const kafka = connectKafka()
  afterAll(() => kafka.close())

  /** Starts a consumer that gathers what it handles. */
  async function consume(topic: string, options: Partial<KafkajsConsumptionOptions> = {}) {
    const handled: KafkaMessage[] = []
    const handler = (message: KafkaMessage) => void handled.push(message)
    const group = options.group ?? randomUUID()
    const verifier = options.verifier ?? createVerifier()
    const producer = kafka.producer as never
    const consumer = await start({ topics: [topic], handler, verifier, producer, ...options, group })
    kafka.keep(consumer)
    return { ...consumer, handled, group }
  }

  it('hands over who wrote a record, and the record without its token', async () => {
    const topic = await kafka.createTopic()
    const { handled } = await consume(topic)
    const one = signed(topic, { key: 'k', value: { n: 1 } })
    one.headers!.push(['trace', 'x'])
    await kafka.write(topic, one, signed(topic, { value: { n: 2 } }, { carrier: 'payload' }))
    await vi.waitFor(() => expect(handled.length).toBe(2), { timeout: 10_000 })
    const [first, second] = handled
    expect(first).toMatchObject({
      topic,
      partition: 0,
      offset: 0n,
      payload: { n: 1 },
      headers: [['trace', Buffer.from('x')]],
    })
    expect(first!.key).toEqual(Buffer.from('k'))
    expect(first!.caller).toMatchObject({
      method: 'service_token',
      clientId: 'order-service',
      audience: `kafka:${topic}`,
    })
    expect(first!.m2mPayload).toMatchObject({ sender: 'order-service' })
    expect(second).toMatchObject({ offset: 1n, payload: { n: 2 }, headers: [] })
    expect(second!.value!.toString()).toBe('{"n":2}')
  })

  it('puts aside what was changed on the way, says what differs, and goes on', async () => {
    const topic = await kafka.createTopic()
    const elsewhere = await kafka.createTopic()
    const make = (carrier: 'header' | 'payload' = 'header') => signed(topic, { key: 'k', value: { n: 1 } }, { carrier })
    const { handled } = await consume(topic)
    const inside = JSON.parse(make('payload').value!.toString())
    await kafka.write(
      topic,
      signed(elsewhere, { key: 'k', value: { n: 1 } }),
      { ...make(), key: Buffer.from('other') },
      { ...make(), key: undefined },
      { ...make(), value: Buffer.from('{"n":2}') },
      { ...make(), value: Buffer.from('{"n": 1}') },
      { ...make(), value: undefined },
      { ...make('payload'), value: Buffer.from(JSON.stringify({ ...inside, n: 2 })) },
      { ...make('payload'), key: Buffer.from('other') },
      { ...make(), headers: [['m2m-token', signed(topic, { key: 'k', value: { n: 2 } }).token]] },
      { ...make(), headers: [['m2m-token', `${make().token.slice(0, -4)}AAAA`]] },
      make(),
    )
    await vi.waitFor(() => expect(handled.length).toBe(1), { timeout: 10_000 })
    const letters = await kafka.read(`${topic}.dead-letter`, 10)
    expect(letters.map(({ notes }) => [notes['m2m-error'], notes['m2m-reason']])).toEqual(
      ['aud', 'key', 'key', 'digest', 'digest', 'digest', 'digest', 'key', 'digest', 'signature'].map((reason) => [
        'InvalidM2MToken',
        reason,
      ]),
    )
  })

  it('takes a message with a token inside whose members stand in another order, with other spaces', async () => {
    const topic = await kafka.createTopic()
    const { handled } = await consume(topic)
    const { M2MToken } = JSON.parse(
      signed(topic, { value: { a: 1, b: 'é' } }, { carrier: 'payload' }).value!.toString(),
    )
    const value = `{ "b": "\\u00e9",\n "M2MToken": "${M2MToken}", "a": 1.0 }`
    await kafka.write(topic, { value: Buffer.from(value) })
    await vi.waitFor(() => expect(handled[0]?.payload).toEqual({ a: 1, b: 'é' }), { timeout: 10_000 })
  })

  it('binds a tombstone as such', async () => {
    const topic = await kafka.createTopic()
    const { handled } = await consume(topic)
    const tombstone = () => signed(topic, { key: 'k', value: null })
    await kafka.write(topic, { ...tombstone(), value: Buffer.alloc(0) }, { ...tombstone(), value: Buffer.from('{}') })
    await kafka.write(topic, tombstone())
    await vi.waitFor(() => expect(handled.map(({ value, offset }) => [value, offset])).toEqual([[null, 2n]]), {
      timeout: 10_000,
    })
    const letters = await kafka.read(`${topic}.dead-letter`, 2)
    expect(letters.map(({ notes }) => notes['m2m-reason'])).toEqual(['digest', 'digest'])
  })

  it('refuses a record without a token, with several, or with something else in its place', async () => {
    const topic = await kafka.createTopic()
    const { handled } = await consume(topic)
    const { token } = signed(topic, { value: { n: 1 } })
    const inside = JSON.parse(signed(topic, { value: { n: 1 } }, { carrier: 'payload' }).value!.toString())
    const value = Buffer.from(JSON.stringify({ n: 1 }))
    const json = (text: string) => ({ value: Buffer.from(text) })
    await kafka.write(
      topic,
      { value },
      {
        value,
        headers: [
          ['m2m-token', token],
          ['m2m-token', token],
        ],
      },
      {
        value,
        headers: [
          ['M2M-Token', token],
          ['x-m2m-token', token],
        ],
      },
      { value: Buffer.from(JSON.stringify(inside)), headers: [['m2m-token', token]] },
      json(JSON.stringify({ ...inside, m2mToken: inside.M2MToken })),
      json(`{"n":1,"M2MToken":"${inside.M2MToken}","M2MToken":"${inside.M2MToken}"}`),
      json('{"n":1,"M2MToken":{}}'),
      json('{"n":1,"M2MToken":null}'),
      { value, headers: [['m2m-token', '']] },
      signed(topic, { value: { n: 2 } }),
    )
    await vi.waitFor(() => expect(handled.length).toBe(1), { timeout: 10_000 })
    const letters = await kafka.read(`${topic}.dead-letter`, 9)
    const errors = letters.map(({ notes }) => notes['m2m-error'])
    expect(errors).toEqual(['RequiresM2MToken', ...Array(8).fill('InvalidM2MToken')])
    expect(new Set(letters.slice(1).map(({ notes }) => notes['m2m-reason']))).toEqual(new Set(['malformed']))
  })

  it('notes in the dead letter what it was, where it stood and why, and lets no writer do so', async () => {
    const topic = await kafka.createTopic()
    const { group } = await consume(topic, { verifier: createVerifier({ blockList: ['order'] }) })
    const record = signed(topic, { key: 'k', value: { n: 1 } })
    record.headers!.push(['trace', 'x'], ['m2m-reason', 'forged'], ['M2M-Original-Topic', 'forged'])
    await kafka.write(topic, record)
    const [letter] = await kafka.read(`${topic}.dead-letter`, 1)
    expect(letter!.key!.toString()).toBe('k')
    expect(letter!.value!.toString()).toBe('{"n":1}')
    expect(Object.fromEntries(letter!.headers.filter(([name]) => name !== 'm2m-token'))).toEqual({
      trace: 'x',
      'm2m-error': 'InvalidM2MToken',
      'm2m-reason': 'sender',
      'm2m-message': "M2M token sender 'order-service' is in the M2M block list",
      'm2m-original-topic': topic,
      'm2m-original-partition': '0',
      'm2m-original-offset': '0',
      'm2m-original-timestamp': expect.stringMatching(/^\d{13}$/),
      'm2m-consumer-group': group,
    })
  })

  it('puts aside what the handler fails on, tells nothing of what it threw, and goes on', async () => {
    const topic = await kafka.createTopic()
    const logged: unknown[] = []
    const log = (...words: unknown[]) => void logged.push(words)
    let calls = 0
    const handler = () => {
      calls += 1
      if (calls === 1) throw new Error('canary: the password is swordfish')
      if (calls === 2) return Promise.reject(Object.assign(new Error('canary'), { code: 'out_of_stock' }))
    }
    const { group } = await consume(topic, { handler, logger: { warn: log, error: log } })
    await kafka.write(topic, ...[1, 2, 3].map((n) => signed(topic, { value: { n } })))
    await vi.waitFor(() => expect(calls).toBe(3), { timeout: 10_000 })
    const letters = await kafka.read(`${topic}.dead-letter`, 2)
    expect(letters.map(({ notes }) => [notes['m2m-error'], notes['m2m-reason']])).toEqual([
      ['HandlerFailed', 'handler_failed'],
      ['HandlerFailed', 'out_of_stock'],
    ])
    expect(JSON.stringify(letters.map(({ notes }) => notes))).not.toContain('canary')
    expect(logged.length).toBe(2)
    await vi.waitFor(async () => expect(await kafka.committed(group, topic)).toBe(3), { timeout: 10_000 })
  })

  it('refuses a copy of a record, next to it and in another partition', async () => {
    const topic = await kafka.createTopic({ partitions: 2 })
    const { handled } = await consume(topic)
    const record = signed(topic, { key: 'k', value: { n: 1 } })
    await kafka.write(topic, record)
    await vi.waitFor(() => expect(handled.length).toBe(1), { timeout: 10_000 })
    await kafka.write(topic, record, { ...record, partition: 1 })
    const letters = await kafka.read(`${topic}.dead-letter`, 2)
    expect(letters.map(({ notes }) => notes['m2m-reason'])).toEqual(['replayed', 'replayed'])
    expect(handled.length).toBe(1)
  })

  it('takes the same records again after a rewind, each where it stands, and their copies never', async () => {
    const topic = await kafka.createTopic()
    const verifier = createVerifier()
    const first = await consume(topic, { verifier })
    const records = [1, 2, 3].map((n) => signed(topic, { value: { n } }))
    await kafka.write(topic, ...records)
    await vi.waitFor(() => expect(first.handled.length).toBe(3), { timeout: 10_000 })
    await first.stop()
    expect(await kafka.committed(first.group, topic)).toBe(3)
    await first.close()
    await kafka.write(topic, records[0]!)
    await kafka.rewind(first.group, topic, 0)
    const second = await consume(topic, { verifier, group: first.group })
    const [letter] = await kafka.read(`${topic}.dead-letter`, 1)
    expect(letter!.notes).toMatchObject({ 'm2m-reason': 'replayed', 'm2m-original-offset': '3' })
    expect(second.handled.map(({ offset }) => offset)).toEqual([0n, 1n, 2n])
  })

  it('lets each group use a record once', async () => {
    const topic = await kafka.createTopic()
    const verifier = createVerifier()
    const [one, other] = [await consume(topic, { verifier }), await consume(topic, { verifier })]
    await kafka.write(topic, signed(topic, { value: { n: 1 } }))
    await vi.waitFor(() => expect([one.handled.length, other.handled.length]).toEqual([1, 1]), { timeout: 10_000 })
  })

  it('holds tokens against the time of appending, however late they are read and whatever the writer says', async () => {
    const topic = await kafka.createTopic({ settings: append })
    const past = Date.now() - 120_000
    await kafka.write(topic, { ...signed(topic, { value: { n: 1 } }, { madeAt: past }), timestamp: BigInt(past) })
    await kafka.write(topic, { ...signed(topic, { value: { n: 2 } }), timestamp: BigInt(past) })
    const tomorrow = () => Date.now() + 24 * 3_600_000
    const { handled } = await consume(topic, { verifier: createVerifier({ now: tomorrow, uses: anyUse }) })
    const [letter] = await kafka.read(`${topic}.dead-letter`, 1)
    expect(letter!.notes).toMatchObject({ 'm2m-reason': 'expired', 'm2m-original-offset': '0' })
    await vi.waitFor(() => expect(handled.length).toBe(1), { timeout: 10_000 })
    expect(handled[0]).toMatchObject({ offset: 1n, timestampType: 'append' })
    expect(handled[0]!.timestamp).toBeGreaterThan(past + 60_000)
  })

  it('holds tokens against its own clock where the writer sets the time, and a greatest age', async () => {
    const topic = await kafka.createTopic({ settings: { 'message.timestamp.type': 'CreateTime' } })
    const now = Date.now()
    const aged = (seconds: number) => {
      const record = signed(topic, { value: { seconds } }, { madeAt: now - seconds * 1000 })
      return { ...record, timestamp: BigInt(now) }
    }
    await kafka.write(topic, aged(1_200), aged(320), aged(280), aged(-60))
    const verifier = createVerifier({ uses: anyUse })
    const { handled } = await consume(topic, { verifier, maximumAgeSeconds: 300 })
    const letters = await kafka.read(`${topic}.dead-letter`, 3)
    expect(letters.map(({ notes }) => notes['m2m-reason'])).toEqual(['expired', 'expired', 'iat'])
    expect(handled.map(({ payload }) => payload)).toEqual([{ seconds: 280 }])
    expect(handled[0]!.timestampType).toBe('create')
  })

  it('takes records of a mirrored topic where it is told which topic was signed', async () => {
    const topic = await kafka.createTopic()
    const mirror = await kafka.createTopic()
    const [plainly, knowing] = [createVerifier(), createVerifier({ topicAliases: { [mirror]: topic } })]
    await kafka.write(mirror, signed(topic, { key: 'k', value: { n: 1 } }))
    const plain = await consume(mirror, { verifier: plainly })
    const [letter] = await kafka.read(`${mirror}.dead-letter`, 1)
    expect(letter!.notes['m2m-reason']).toBe('aud')
    const aliased = await consume(mirror, { verifier: knowing })
    await vi.waitFor(() => expect(aliased.handled.length).toBe(1), { timeout: 10_000 })
    expect(plain.handled.length).toBe(0)
  })

  it('does not mind in which order or batches records come, of two partitions', async () => {
    const topic = await kafka.createTopic({ partitions: 2 })
    const verifier = createVerifier()
    const records = Array.from({ length: 20 }, (_, n) => ({
      ...signed(topic, { key: `k${n}`, value: { n } }, { carrier: n % 4 < 2 ? 'header' : 'payload' }),
      partition: n % 2,
    }))
    await kafka.write(topic, ...records.slice(10).reverse())
    await kafka.write(topic, ...records.slice(0, 10).reverse())
    const { handled } = await consume(topic, { verifier })
    await vi.waitFor(() => expect(handled.length).toBe(20), { timeout: 10_000 })
    const numbersIn = (partition: number) =>
      handled.filter((message) => message.partition === partition).map(({ payload }) => payload!.n)
    expect(numbersIn(0)).toEqual([18, 16, 14, 12, 10, 8, 6, 4, 2, 0])
    expect(numbersIn(1)).toEqual([19, 17, 15, 13, 11, 9, 7, 5, 3, 1])
  })

  it('handles hundreds in order, and has committed all of them when it has stopped', async () => {
    const topic = await kafka.createTopic()
    const { handled, group, stop } = await consume(topic)
    const records = Array.from({ length: 500 }, (_, n) => signed(topic, { value: { n } }))
    await kafka.write(topic, ...records)
    await vi.waitFor(() => expect(handled.length).toBe(500), { timeout: 20_000 })
    await stop()
    expect(handled.map(({ payload }) => payload!.n)).toEqual(records.map((_, n) => n))
    expect(await kafka.committed(group, topic)).toBe(500)
  })

  it('commits nothing that it could put nowhere, and goes on when it can', async () => {
    const topic = await kafka.createTopic({ deadLetters: false })
    const problems: object[] = []
    const logger = { warn: () => {}, error: (details: object) => void problems.push(details) }
    const { handled, group } = await consume(topic, { logger })
    await kafka.write(topic, signed(topic, { value: { n: 1 } }), { value: Buffer.from('unsigned') })
    await kafka.write(topic, signed(topic, { value: { n: 2 } }))
    await vi.waitFor(() => expect(problems.length).toBeGreaterThan(0), { timeout: 20_000 })
    expect(problems[0]).toMatchObject({ topic, offset: '1', deadLetterTopic: `${topic}.dead-letter` })
    expect(handled.length).toBe(1)
    expect(await kafka.committed(group, topic)).toBeLessThan(2)
    await kafka.admin.createTopics({ topics: [`${topic}.dead-letter`], partitions: 1, replicas: 1 })
    await vi.waitFor(() => expect(handled.length).toBe(2), { timeout: 30_000 })
    expect((await kafka.read(`${topic}.dead-letter`, 1))[0]!.notes['m2m-error']).toBe('RequiresM2MToken')
  })

  it('stops although a dead letter can be put nowhere, and leaves the record for the next', async () => {
    const topic = await kafka.createTopic({ deadLetters: false })
    const { group, stop } = await consume(topic)
    await kafka.write(topic, { value: Buffer.from('unsigned') })
    await new Promise((resolve) => setTimeout(resolve, 500))
    await stop()
    expect(await kafka.committed(group, topic)).toBeLessThan(1)
  })

  it('puts aside a record that is too large with its notes, without its content', async () => {
    const topic = await kafka.createTopic({ deadLetters: false })
    const configs = [{ name: 'max.message.bytes', value: '1500' }]
    await kafka.admin.createTopics({ topics: [`${topic}.dead-letter`], partitions: 1, replicas: 1, configs })
    const { handled } = await consume(topic)
    await kafka.write(topic, { value: Buffer.from('x'.repeat(2_000)) }, signed(topic, { value: { n: 1 } }))
    const [letter] = await kafka.read(`${topic}.dead-letter`, 1)
    expect(letter!.value).toBeNull()
    expect(letter!.notes).toMatchObject({ 'm2m-error': 'RequiresM2MToken', 'm2m-content-left-out': 'too_large' })
    await vi.waitFor(() => expect(handled.length).toBe(1), { timeout: 10_000 })
  })

  it('waits for what it needs and cannot have now, and puts the record aside only out of patience', async () => {
    const topic = await kafka.createTopic()
    let isAway = true
    const uses = {
      use: async () => {
        if (isAway) throw new Error('the store is away')
        return 'first' as const
      },
    }
    const { handled, stop } = await consume(topic, { verifier: createVerifier({ uses }) })
    await kafka.write(topic, signed(topic, { value: { n: 1 } }))
    setTimeout(() => {
      isAway = false
    }, 500)
    await vi.waitFor(() => expect(handled.length).toBe(1), { timeout: 10_000 })
    await stop()
    isAway = true
    const other = await kafka.createTopic()
    const impatient = await consume(other, { verifier: createVerifier({ uses }), patienceSeconds: 0 })
    await kafka.write(other, signed(other, { value: { n: 2 } }))
    const [letter] = await kafka.read(`${other}.dead-letter`, 1)
    expect(letter!.notes['m2m-error']).toBe('unavailable')
    expect(impatient.handled.length).toBe(0)
  })

  it('lets records without a token pass where it is told to, and never one with a wrong token', async () => {
    const topic = await kafka.createTopic()
    const accepting = await consume(topic, { serviceToken: 'accepted' })
    const ignoring = await consume(topic, { serviceToken: 'ignored' })
    await kafka.write(
      topic,
      { value: Buffer.from('{"n":1,"m2mPayload":{"sender":"admin-service"}}'), headers: [['m2mPayload', 'admin']] },
      { ...signed(topic, { value: { n: 2 } }), value: Buffer.from('{"n":3}') },
      signed(topic, { value: { n: 4 } }),
    )
    await vi.waitFor(() => expect([accepting.handled.length, ignoring.handled.length]).toEqual([2, 3]), {
      timeout: 10_000,
    })
    expect(accepting.handled.map(({ payload, caller }) => [payload, caller?.clientId])).toEqual([
      [{ n: 1 }, undefined],
      [{ n: 4 }, 'order-service'],
    ])
    expect(accepting.handled[0]).toMatchObject({ headers: [], value: Buffer.from('{"n":1}'), m2mPayload: undefined })
    expect(ignoring.handled.every(({ caller, m2mPayload }) => caller === undefined && m2mPayload === undefined)).toBe(
      true,
    )
    expect((await kafka.read(`${topic}.dead-letter`, 1))[0]!.notes['m2m-reason']).toBe('digest')
  })

  it('takes messages of the md5 profile where it is told to, and only there', async () => {
    const topic = await kafka.createTopic()
    const willing = await consume(topic, { verifier: createVerifier({ md5: true }) })
    const plain = await consume(topic)
    const message = { b: 1, a: 'é' }
    const value = (members: object) => ({ value: Buffer.from(JSON.stringify(members)) })
    await kafka.write(
      topic,
      value({ ...message, M2MToken: signedMd5(message) }),
      { ...value(message), headers: [['m2m-token', signedMd5(message)]] },
      value({ ...message, b: 2, M2MToken: signedMd5(message) }),
      signed(topic, { value: { n: 1 } }),
    )
    await vi.waitFor(() => expect([willing.handled.length, plain.handled.length]).toEqual([3, 1]), { timeout: 10_000 })
    expect(willing.handled.map(({ payload }) => payload)).toEqual([message, message, { n: 1 }])
    expect(plain.handled.map(({ payload }) => payload)).toEqual([{ n: 1 }])
    const letters = await kafka.read(`${topic}.dead-letter`, 4)
    expect(letters.map(({ notes }) => notes['m2m-reason']).sort()).toEqual(['digest', 'typ', 'typ', 'typ'])
  })

  it('loses nothing and refuses nothing while consumers of a group come and go', async () => {
    const topic = await kafka.createTopic({ partitions: 2 })
    const verifier = createVerifier()
    const group = randomUUID()
    const seen = { a: new Set<number>(), b: new Set<number>() }
    const start = (who: 'a' | 'b') =>
      consume(topic, {
        group,
        verifier,
        async handler({ payload }) {
          await new Promise((resolve) => setTimeout(resolve, 5))
          seen[who].add(payload!.n as number)
        },
      })
    let written = 0
    const write = async (count: number) => {
      const numbers = Array.from({ length: count }, () => written++)
      await kafka.write(topic, ...numbers.map((n) => ({ ...signed(topic, { value: { n } }), partition: n % 2 })))
    }
    await write(100)
    const a = await start('a')
    await vi.waitFor(() => expect(seen.a.size).toBeGreaterThan(10), { timeout: 10_000 })
    const b = await start('b')
    const bothAtWork = async () => {
      await write(20)
      expect(seen.b.size).toBeGreaterThan(10)
    }
    await vi.waitFor(bothAtWork, { timeout: 20_000, interval: 250 })
    await b.stop()
    await b.close()
    await write(100)
    const missing = () => Array.from({ length: written }, (_, n) => n).filter((n) => !seen.a.has(n) && !seen.b.has(n))
    await vi.waitFor(() => expect(missing()).toEqual([]), { timeout: 20_000 })
    await a.stop()
    expect(await kafka.end(`${topic}.dead-letter`)).toBe(0)
  })
})

/** Remembers nothing, as a test is about something else. */
const anyUse = { use: () => 'first' as const }
