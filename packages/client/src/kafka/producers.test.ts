import { connect } from 'node:net'
import { createServiceTokenSigner, generateSigningKey, kafkaRecordBinding, parseJwt } from '@countersign/tokens'
import { Producer } from '@platformatic/kafka'
import { type ISocketFactory, Kafka, logLevel } from 'kafkajs'
import { describe, expect, it } from 'vitest'
import { bootstrapBrokers, createTopic, readTopic, type StoredRecord, withoutKafka } from './kafka.fixture.ts'
import { signKafkajsProducer } from './kafkajs.ts'
import { signPlatformaticProducer } from './platformatic.ts'
import type { RecordSigner } from './sign-record.ts'

const generated = await generateSigningKey('EdDSA')
const privateKey = { key: generated.privateKey, publicJwk: generated.publicJwk }
const tokens = createServiceTokenSigner({ name: 'order', key: privateKey, now: Date.now })
const signer: RecordSigner = { profile: 'm2m', sign: tokens.sign, signMd5: () => 'never' }

describe.skipIf(withoutKafka)('signPlatformaticProducer', () => {
  it('writes records whose tokens hold for what stands in the topic', async () => {
    const topic = await createTopic()
    await using producer = platformatic({ retries: 0 })
    const signed = signPlatformaticProducer(producer, signer)
    await signed.send({
      messages: [
        { topic, key: 'a', value: { n: 1 }, headers: { trace: 'x' } },
        { topic, key: Buffer.from('b'), value: null },
        { topic, value: Buffer.from([0, 1, 2]), headers: new Map([['trace', Buffer.from('y')]]) },
      ],
    })
    const records = await readTopic(topic, 3)
    for (const record of records) expect(bindingIn(record)).toEqual(bindingOf(topic, record))
    expect(records.map(({ headers }) => headers.map(([name]) => name))).toEqual([
      ['trace', 'm2m-token'],
      ['m2m-token'],
      ['trace', 'm2m-token'],
    ])
    expect(records[1]!.value).toBeNull()
  })

  it('writes the token into messages when asked to, and names the tenant of the moment', async () => {
    const topic = await createTopic()
    await using producer = platformatic({ retries: 0 })
    const signed = signPlatformaticProducer(producer, signer, { carrier: 'payload', tenant: () => 'acme' })
    await signed.send({ messages: [{ topic, value: { n: 1 } }] })
    const [record] = await readTopic(topic, 1)
    const { M2MToken, ...rest } = JSON.parse(record!.value!.toString())
    expect(rest).toEqual({ n: 1 })
    expect(parseJwt(M2MToken).claims).toMatchObject({ tenant: 'acme', aud: `kafka:${topic}` })
  })

  it('refuses a producer that would send a token twice, or other bytes than were signed', async () => {
    await using retrying = platformatic({})
    await using idempotent = platformatic({ idempotent: true })
    await using serializing = platformatic({ retries: 0, serializers: { value: () => Buffer.from('other') } })
    for (const producer of [retrying, idempotent, serializing]) {
      expect(() => signPlatformaticProducer(producer, signer)).toThrow(
        expect.objectContaining({ code: 'invalid_configuration' }),
      )
    }
  })

  it('signs each attempt anew, and gives up on what is pointless to repeat', async () => {
    await using producer = platformatic({ retries: 0 })
    const topic = await createTopic()
    let sends = 0
    const losingTheFirstAnswer = {
      async send(options: Parameters<Producer['send']>[0]) {
        const result = await producer.send(options)
        sends += 1
        if (sends === 1) throw Object.assign(new Error('no answer'), { canRetry: true })
        return result
      },
    }
    const signed = signPlatformaticProducer(losingTheFirstAnswer, signer, { retryDelayMilliseconds: 1 })
    await signed.send({ messages: [{ topic, value: 'v' }] })
    const records = await readTopic(topic, 2)
    expect(new Set(records.map(({ headers }) => headers[0]![1])).size).toBe(2)

    const signing = counting()
    const narrow = await createTopic({ 'max.message.bytes': '100' })
    const tooLarge = { messages: [{ topic: narrow, value: 'v'.repeat(200) }] }
    await expect(signPlatformaticProducer(producer, signing).send(tooLarge)).rejects.toThrow()
    expect(signing.calls).toBe(1)
  })
})

describe.skipIf(withoutKafka)('signKafkajsProducer', () => {
  it('writes records whose tokens hold for what stands in the topic', async () => {
    const topic = await createTopic()
    const producer = new Kafka({ brokers: bootstrapBrokers, logLevel: logLevel.NOTHING }).producer()
    await producer.connect()
    const signed = signKafkajsProducer(producer, signer)
    const [written] = await signed.send({
      topic,
      messages: [
        { key: 'a', value: { n: 1 }, headers: { trace: ['x', 'y'] } },
        { key: Buffer.from('b'), value: null },
      ],
    })
    expect(written).toMatchObject({ topicName: topic, errorCode: 0 })
    await signed.sendBatch({ topicMessages: [{ topic, messages: [{ key: null, value: 'text' }] }] })
    const inside = signKafkajsProducer(producer, signer, { carrier: 'payload' })
    await inside.send({ topic, messages: [{ value: { n: 2 } }] })
    await producer.disconnect()
    const records = await readTopic(topic, 4)
    for (const record of records.slice(0, 3)) expect(bindingIn(record)).toEqual(bindingOf(topic, record))
    expect(records[0]!.headers.filter(([name]) => name === 'trace').length).toBe(2)
    expect(records[1]!.value).toBeNull()
    expect(JSON.parse(records[3]!.value!.toString())).toEqual({ n: 2, M2MToken: expect.any(String) })
  })

  it('signs each attempt anew that kafkajs makes by itself, and no more often', async () => {
    const topic = await createTopic()
    const signing = counting()
    const kafka = new Kafka({ brokers: bootstrapBrokers, logLevel: logLevel.NOTHING, socketFactory: losingOneAnswer() })
    const producer = kafka.producer({ retry: { retries: 2, initialRetryTime: 1 } })
    await producer.connect()
    await signKafkajsProducer(producer, signing).send({ topic, messages: [{ value: 'a' }, { value: 'b' }] })
    await producer.disconnect()
    const tokens = (await readTopic(topic, 4)).map(({ headers }) => headers[0]![1])
    expect(new Set(tokens).size).toBe(4)
    expect(signing.calls).toBe(4)
  })
})

/** Sockets of which the first that produces breaks before the broker's answer can be read. */
function losingOneAnswer(): ISocketFactory {
  let lost = false
  return ({ host, port, onConnect }) => {
    const socket = connect({ host, port }, onConnect)
    const write = socket.write.bind(socket)
    socket.write = ((request: Buffer, ...rest: []) => {
      const written = write(request, ...rest)
      const isProduce = request.readInt16BE(4) === 0
      if (isProduce && !lost) {
        lost = true
        socket.pause()
        setTimeout(() => socket.destroy(new Error('reset')), 200)
      }
      return written
    }) as typeof socket.write
    return socket
  }
}

function counting(): RecordSigner & { calls: number } {
  return {
    ...signer,
    calls: 0,
    sign(call) {
      this.calls += 1
      return signer.sign(call)
    },
  }
}

/** @param options of the client */
function platformatic(options: object): Producer & AsyncDisposable {
  const producer = new Producer({ clientId: 'test', bootstrapBrokers, ...options })
  return Object.assign(producer, { [Symbol.asyncDispose]: () => producer.close() })
}

function bindingIn({ headers }: StoredRecord): unknown {
  const token = headers.find(([name]) => name === 'm2m-token')![1]
  return parseJwt(token).claims.req
}

function bindingOf(topic: string, { key, value }: StoredRecord): object {
  const { transport: _, ...binding } = kafkaRecordBinding({ topic, key, value })
  return binding
}
