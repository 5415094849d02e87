import { describe, expect, it } from 'vitest'
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
