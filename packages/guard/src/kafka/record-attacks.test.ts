import { describe, expect, it } from 'vitest'
import type { RecordHeader } from './kafka-record.ts'
import { openRecord } from './open-record.ts'

const open = (value: string | Buffer | null, headers: RecordHeader[] = []) =>
  openRecord({
    topic: 'orders',
    partition: 0,
    offset: 1n,
    key: null,
    value: typeof value === 'string' ? Buffer.from(value) : value,
    headers,
    timestamp: 1_700_000_000_000,
    timestampType: 'append',
  })
/** As handlers read values: some with a decoder that takes a byte order mark away. */
const read = (value: Buffer | null) => JSON.parse(new TextDecoder().decode(value ?? undefined)) as object

describe('a verified payload that a writer sent', () => {
  it.each([
    ['as it is', '{"n":1,"m2mPayload":{"sender":"evil-service"}}'],
    ['behind spaces', `${' '.repeat(1_000)}{"m2mPayload":{"sender":"evil-service"}}`],
    ['behind a byte order mark', '\ufeff{"m2mPayload":{"sender":"evil-service"}}'],
    ['behind a byte order mark and spaces', '\ufeff \r\n{"m2mPayload":{"sender":"evil-service"}}'],
    ['with its name escaped', '{"m2m\\u0050ayload":{"sender":"evil-service"}}'],
    ['twice', '{"m2mPayload":1,"m2mPayload":{"sender":"evil-service"}}'],
    ['beside __proto__', '{"__proto__":{"m2mPayload":1},"m2mPayload":{"sender":"evil-service"}}'],
    ['in bytes that are not UTF-8', Buffer.from('{"\xff":1,"m2mPayload":{"sender":"evil-service"}}', 'latin1')],
  ])('does not survive %s', (_what, value) => {
    const { record, payload } = open(value)
    expect(Object.hasOwn(read(record.value), 'm2mPayload')).toBe(false)
    expect(payload ?? {}).not.toHaveProperty('m2mPayload')
  })

  it('does not survive in a header, however it is written', () => {
    const forged = ['m2mPayload', 'M2M-Payload', 'x-m2m-payload'].map((name): RecordHeader => [name, Buffer.from('{}')])
    expect(open('{}', [...forged, ['trace', null]]).record.headers).toEqual([['trace', null]])
  })
})

describe('a token', () => {
  it.each([
    ['in a field and in a header', '{"M2MToken":"a"}', [['m2m-token', 'b']]],
    ['in both fields', '{"M2MToken":"a","m2mToken":"a"}', []],
    [
      'in both headers',
      '{}',
      [
        ['m2m-token', 'a'],
        ['X-M2M-Token', 'a'],
      ],
    ],
    [
      'in one header twice',
      null,
      [
        ['m2m-token', 'a'],
        ['m2m-token', 'a'],
      ],
    ],
    ['in one field twice', '{"M2MToken":"a","M2MToken":"b"}', []],
    ['in a field, once escaped', '{"M2MToken":"a","M2MTo\\u006ben":"b"}', []],
    ['behind a byte order mark', '\ufeff{"M2MToken":"a"}', []],
    ['that is an object', '{"M2MToken":{"toString":"a"}}', []],
    ['that is null', '{"M2MToken":null}', []],
  ] as [string, string | null, [string, string][]][])('is unusable %s', (_what, value, headers) => {
    const given = headers.map(([name, text]): RecordHeader => [name, Buffer.from(text)])
    expect(open(value, given).token).toBe('unusable')
  })

  it.each(['[{"M2MToken":"a"}]', '"M2MToken"', '{"a":{"M2MToken":"a"}}', '{"m2mtoken":"a"}'])(
    'is none where the contract knows none: %s',
    (value) => {
      expect(open(value).token).toBeUndefined()
    },
  )
})
