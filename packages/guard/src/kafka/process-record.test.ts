import { describe, expect, it } from 'vitest'
import { GuardConfigurationError } from '../guard-error.ts'
import { processingOf } from './consumption.ts'
import type { DeadLetter } from './dead-letter.ts'
import type { KafkaRecord } from './kafka-record.ts'
import { processRecord, type RecordProcessing } from './process-record.ts'

const record: KafkaRecord = {
  topic: 'orders',
  partition: 0,
  offset: 7n,
  key: Buffer.from('k'),
  value: Buffer.from('{"n":1}'),
  headers: [['trace', Buffer.from('x')]],
  timestamp: 1_700_000_000_000,
  timestampType: 'append',
}

/** A dead-letter topic that takes letters of so many bytes. */
function deadLetterTopic(mostBytes: number) {
  const written: DeadLetter[] = []
  return {
    written,
    async writeDeadLetter(letter: DeadLetter) {
      const headers = letter.headers.reduce((sum, [name, value]) => sum + name.length + (value?.length ?? 0), 0)
      const size = headers + (letter.key?.length ?? 0) + (letter.value?.length ?? 0)
      if (size > mostBytes) throw Object.assign(new Error('too large'), { type: 'MESSAGE_TOO_LARGE' })
      written.push(letter)
    },
  }
}

const putAside = async (given: Partial<KafkaRecord>, processing: Partial<RecordProcessing<unknown>>) => {
  const topic = deadLetterTopic(3_000)
  const refuse = () => Promise.reject(new Error('refused'))
  const control = { signal: AbortSignal.timeout(5_000) }
  await processRecord(
    { ...record, ...given },
    { receive: refuse, handle: () => {}, writeDeadLetter: topic.writeDeadLetter, group: 'g', ...processing },
    control,
  )
  return topic.written
}

describe('a record that is larger with its notes than the dead-letter topic takes', () => {
  it.each([
    ['value', { value: Buffer.alloc(3_000) }],
    ['key', { key: Buffer.alloc(3_000), value: null }],
    ['headers, of a tombstone too', { headers: [['x', Buffer.alloc(3_000)]] as never, value: null }],
  ])('does not stop the consumer by the size of its %s', async (_what, given) => {
    const [letter] = await putAside(given, {})
    expect(letter).toMatchObject({ key: null, value: null })
    expect(letter!.headers.map(([name]) => name)).toContain('m2m-content-left-out')
    expect(letter!.headers.map(([name]) => name)).not.toContain('x')
  })

  it('does not stop it by a sentence that its handler made of it either', async () => {
    const describeFailure = () => ({ error: 'e'.repeat(4_000), reason: 'r'.repeat(4_000), message: 'm'.repeat(4_000) })
    const [letter] = await putAside({}, { describeFailure })
    expect(letter).toMatchObject({ topic: 'orders.dead-letter' })
  })
})

describe('a dead letter', () => {
  const token = `eyJhbGciOiJFZERTQSJ9.eyJqdGkiOiJ4In0.${'s'.repeat(86)}`
  const shown = 'eyJhbGciOiJFZERTQSJ9.eyJqdGkiOiJ4In0.'

  it('carries no token that could be put back: it may be unused, and good where it came from', async () => {
    const value = Buffer.from(`{"id":9007199254740993, "M2MToken" : "${token}", "m2mToken":"${token}"}`)
    const headers = ['m2m-token', 'X-M2M-Token'].map((name) => [name, Buffer.from(token)] as const)
    const [letter] = await putAside({ value, headers }, {})
    expect(letter!.value!.toString(), 'all else is as it was').toBe(
      `{"id":9007199254740993, "M2MToken" : "${shown}", "m2mToken":"${shown}"}`,
    )
    expect(letter!.headers.slice(0, 2).map(([name, text]) => [name, text!.toString()])).toEqual([
      ['m2m-token', shown],
      ['X-M2M-Token', shown],
    ])
  })

  it('is otherwise the record, byte for byte', async () => {
    const value = Buffer.from([0xff, 0xfe, 0x00, 0x80, 0x22])
    const [letter] = await putAside({ value, headers: [['m2m-token', null]] }, {})
    expect(letter!.value).toEqual(value)
    expect(letter!.headers[0]).toEqual(['m2m-token', null])
  })

  it('is never written to a topic that is read by the same consumer, for ever and ever', () => {
    const consuming = (topics: string[], deadLetterTopic: string | ((topic: string) => string)) =>
      processingOf({ ...complete, topics, deadLetterTopic }, 'g', async () => {})
    expect(() => consuming(['orders', 'failed'], 'failed')).toThrow(GuardConfigurationError)
    expect(() => consuming(['orders'], (topic) => topic)).toThrow('"deadLetterTopic"')
    expect(() => consuming(['a', 'b'], (topic) => (topic === 'a' ? 'b' : 'a'))).toThrow(GuardConfigurationError)
    expect(() => consuming(['orders', 'orders.failed'], (topic) => `${topic}.failed`)).not.toThrow()
  })
})

const complete = { topics: ['orders'], handler: () => {}, receive: async () => 0, producer: { send: async () => {} } }

describe('consuming', () => {
  it.each(['topics', 'handler', 'producer'])(
    'does not begin without %s, which only the first record would miss',
    (name) => {
      expect(() => processingOf({ ...complete, [name]: undefined }, 'g', async () => {})).toThrow(
        `"${name}" is missing`,
      )
    },
  )

  it('does not begin without the name of the group, under which used tokens are remembered', () => {
    expect(() => processingOf(complete, undefined as unknown as string, async () => {})).toThrow('"group" is missing')
  })
})
