import { kafkaMessageBinding, kafkaRecordBinding } from '@countersign/tokens'
import { describe, expect, it } from 'vitest'
import { reasonOf } from './reason.fixture.ts'
import type { ReceivedKafkaRecord } from './received-call.ts'
import { inventory, order, setTime, time } from './receiver.fixture.ts'

describe('over Kafka', () => {
  const key = Buffer.from('order-7')
  const value = Buffer.from('{"orderId":7}')
  const place = { partition: 0, offset: 41n, group: 'notification' } as const
  const record: ReceivedKafkaRecord = {
    transport: 'kafka',
    topic: 'orders.created',
    ...place,
    key,
    value,
    carrier: 'header',
    get timestamp() {
      return time
    },
    timestampType: 'append',
  } as ReceivedKafkaRecord
  const written = (changes: Partial<ReceivedKafkaRecord> = {}) => ({ ...record, timestamp: time, ...changes })
  const signed = (audience = 'kafka:orders.created', of = { topic: 'orders.created', key, value } as never) =>
    order.sign({ audience, binding: kafkaRecordBinding(of) })

  it('a token is bound to topic, key and value, and made for the topic', async () => {
    const reason = (changes: Partial<ReceivedKafkaRecord>) => reasonOf(inventory().verify(signed(), written(changes)))
    expect(await reason({})).toBe('accepted')
    expect(await reason({ topic: 'orders.cancelled' })).toBe('aud')
    expect(await reason({ key: Buffer.from('order-8') })).toBe('key')
    expect(await reason({ key: null })).toBe('key')
    expect(await reason({ value: Buffer.from('{"orderId":8}') })).toBe('digest')
    expect(await reason({ value: null })).toBe('digest')
    const toService = signed('inventory-service')
    expect(await reasonOf(inventory().verify(toService, written({ topic: 'orders.cancelled' })))).toBe('topic')
    expect(await reasonOf(inventory().verify(toService, written()))).toBe('accepted')
    const tombstone = signed(undefined, { topic: 'orders.created', key, value: null } as never)
    expect(await reasonOf(inventory().verify(tombstone, written({ value: null })))).toBe('accepted')
  })

  it('a message with its token inside is bound as its canonical JSON', async () => {
    const message = { total: 1.5, orderId: 7, M2MToken: '' }
    const token = order.sign({
      audience: 'kafka:orders.created',
      binding: kafkaMessageBinding({ topic: 'orders.created', key, message }),
    })
    const carried = (changes: object) =>
      written({ carrier: 'payload', message: { orderId: 7, total: 1.5, M2MToken: token, ...changes } })
    expect(await reasonOf(inventory().verify(token, carried({})))).toBe('accepted')
    expect(await reasonOf(inventory().verify(token, carried({ total: 2 })))).toBe('digest')
    expect(await reasonOf(inventory().verify(token, written()))).toBe('digest')
  })

  it('the same place is a redelivery, another is a replay, and another group starts afresh (75)', async () => {
    const verifier = inventory()
    const token = signed()
    const first = written()
    expect(await reasonOf(verifier.verify(token, first))).toBe('accepted')
    expect(await reasonOf(verifier.verify(token, first))).toBe('accepted')
    for (const moved of [{ offset: 42n }, { partition: 1 }]) {
      expect(await reasonOf(verifier.verify(token, { ...first, ...moved }))).toBe('replayed')
    }
    expect(await reasonOf(verifier.verify(token, { ...first, group: 'audit', offset: 42n }))).toBe('accepted')
  })

  it('a record may be read long after it was appended, and not be appended after its token ended', async () => {
    const token = signed()
    const late = written()
    const verifier = inventory()
    setTime(time + 3_600_000)
    expect(await reasonOf(verifier.verify(token, late))).toBe('accepted')
    expect(await reasonOf(verifier.verify(token, { ...late, timestamp: late.timestamp + 80_000, offset: 50n }))).toBe(
      'expired',
    )
    expect(await reasonOf(verifier.verify(token, { ...late, timestamp: late.timestamp - 80_000, offset: 50n }))).toBe(
      'iat',
    )
    expect(await reasonOf(verifier.verify(token, { ...late, offset: 51n })), 'read as late as the first').toBe(
      'replayed',
    )
  })

  it('a copy that is read late is a replay for as long as uses are remembered after reading (75)', async () => {
    const token = signed()
    const verifier = inventory()
    const first = written({ maximumAgeSeconds: 7_200 })
    const copy = { ...first, partition: 1, timestamp: first.timestamp + 30_000 }
    expect(await reasonOf(verifier.verify(token, first))).toBe('accepted')
    setTime(time + 7_000_000)
    expect(await reasonOf(verifier.verify(token, copy)), 'in a partition that lags by two hours').toBe('replayed')
  })

  it('the word of a writer about the time counts for nothing: the clock here does', async () => {
    const created = (changes: Partial<ReceivedKafkaRecord> = {}) => written({ timestampType: 'create', ...changes })
    const token = signed()
    const verifier = inventory()
    const start = time
    expect(await reasonOf(verifier.verify(token, created({ timestamp: 0 })))).toBe('accepted')
    const other = signed()
    setTime(start + 800_000)
    expect(await reasonOf(verifier.verify(other, created({ timestamp: start, offset: 42n }))), 'within maxAge').toBe(
      'accepted',
    )
    expect(
      await reasonOf(verifier.verify(token, created({ timestamp: start, offset: 43n }))),
      'remembered as long',
    ).toBe('replayed')
    const third = signed()
    setTime(time + 920_000)
    expect(await reasonOf(verifier.verify(third, created({ timestamp: start + 800_000, offset: 44n })))).toBe('expired')
    const fourth = signed()
    setTime(time + 45_000)
    expect(await reasonOf(verifier.verify(fourth, created({ maximumAgeSeconds: 30, offset: 45n })))).toBe('expired')
  })

  it('a mirrored topic is checked as the one that was signed', async () => {
    const mirrored = written({ topic: 'eu.orders.created' })
    expect(await reasonOf(inventory().verify(signed(), mirrored))).toBe('aud')
    const topicAliases = { 'eu.orders.created': 'orders.created' }
    expect(await reasonOf(inventory({ topicAliases }).verify(signed(), mirrored))).toBe('accepted')
    expect(await reasonOf(inventory({ topicAliases }).verify(signed(), written({ topic: 'toString' })))).toBe('aud')
  })
})
