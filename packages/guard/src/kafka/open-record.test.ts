import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { KafkaRecord, RecordHeader } from './kafka-record.ts'
import { openRecord } from './open-record.ts'

const taken = ['M2MToken', 'm2mToken', 'm2mPayload']

const recordOf = (value: string | Buffer | null, headers: RecordHeader[] = []): KafkaRecord => ({
  topic: 't',
  partition: 0,
  offset: 0n,
  key: null,
  value: typeof value === 'string' ? Buffer.from(value) : value,
  headers,
  timestamp: 0,
  timestampType: 'append',
})

describe('openRecord', () => {
  it.each([
    ['{"M2MToken":"t","n":1}', { text: 't', carrier: 'payload' }],
    ['  {"m2mToken":"t"}', { text: 't', carrier: 'payload' }],
    [`${' '.repeat(100)}{"M2MToken":"t"}`, { text: 't', carrier: 'payload' }],
    ['{"\\u004d2MToken":"t"}', { text: 't', carrier: 'payload' }],
    ['{"M2MToken":"t","m2mToken":"t"}', 'unusable'],
    ['{"M2MToken":"t","M2MToken":"t"}', 'unusable'],
    ['{"M2MToken":"t","n":1,"n":2}', 'unusable'],
    ['{"M2MToken":"t","__proto__":{}}', 'unusable'],
    ['{"M2MToken":"t","n":1e999}', 'unusable'],
    ['{"M2MToken":5}', 'unusable'],
    ['{"M2MToken":["t"]}', 'unusable'],
    ['{"inner":{"M2MToken":"t"}}', undefined],
    ['{"m2mtoken":"t"}', undefined],
    ['[{"M2MToken":"t"}]', undefined],
    ['"M2MToken"', undefined],
    ['{"M2MToken":"t"', undefined],
    ['\ufeff{"M2MToken":"t"}', 'unusable'],
    ['', undefined],
  ])('finds in %s the token %o', (value, token) => {
    expect(openRecord(recordOf(value)).token).toEqual(token)
  })

  it('takes the token out of a message that is nested too deeply to be written again', () => {
    const { token, record } = openRecord(recordOf(`{"M2MToken":"t","n":${'['.repeat(9_000)}${']'.repeat(9_000)}}`))
    expect(token).toBe('unusable')
    expect(record.value!.toString()).not.toContain('M2MToken')
    expect(record.value).not.toBeNull()
  })

  it('leaves a value alone that has nothing to be taken out, to the byte', () => {
    for (const text of ['{ "n" : 1.0 }', 'text', '[1, 2]', '']) {
      expect(openRecord(recordOf(text)).record.value!.toString()).toBe(text)
    }
    expect(openRecord(recordOf(null)).record.value).toBeNull()
  })

  it('takes out what only the guard may say, whoever put it there and however', () => {
    const headers: RecordHeader[] = [
      ['m2mPayload', Buffer.from('x')],
      ['M2MPAYLOAD', null],
      ['n', Buffer.from('1')],
    ]
    const opened = openRecord(recordOf('{"n":1,"m2mPayload":{"sender":"admin-service"}}', headers))
    expect(opened.record.headers).toEqual([['n', Buffer.from('1')]])
    expect(opened.record.value!.toString()).toBe('{"n":1}')
    expect(opened.payload).toEqual({ n: 1 })
    const repeated = openRecord(recordOf('{"n":1,"m2mPayload":1,"m2mPayload":2}'))
    expect(JSON.parse(repeated.record.value!.toString())).toEqual({ n: 1 })
    expect(repeated.payload).toBeUndefined()
  })

  it('leaves nothing behind that a handler could take for verified, whatever the value', () => {
    const members = fc.dictionary(fc.constantFrom(...taken, 'n', 'x'), fc.jsonValue())
    const texts = fc
      .tuple(members, members, fc.nat(3), fc.constantFrom('', ' ', '\n\t'))
      .map(([one, other, repeat, space]) => {
        const parts = [one, ...Array(repeat).fill(other)].flatMap((object) =>
          Object.entries(object).map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`),
        )
        return `${space}{${parts.join(`,${space}`)}}${space}`
      })
    fc.assert(
      fc.property(texts, (text) => {
        const { record, payload } = openRecord(recordOf(text))
        const seen = JSON.parse(record.value!.toString())
        for (const name of taken) {
          expect(Object.hasOwn(seen, name)).toBe(false)
          expect(Object.hasOwn(payload ?? {}, name)).toBe(false)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        openRecord(recordOf(Buffer.concat([Buffer.from('{'), bytes])))
        openRecord(recordOf(Buffer.from(bytes), [[Buffer.from(bytes).toString(), Buffer.from(bytes)]]))
      }),
      { numRuns: 500 },
    )
  })
})
