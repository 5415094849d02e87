import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compact, refusal } from '../refusal.fixture.ts'
import { parseJwt } from './parse-jwt.ts'

const header = { alg: 'ES256', kid: 'key-1' }
const claims = { sub: 'svc-order-processor' }
const good = compact(header, claims)
const refused = (token: string) => refusal(() => parseJwt(token))

describe('parseJwt', () => {
  it('gives header, claims, signing input and signature', () => {
    const parsed = parseJwt(good)
    expect(parsed.header).toEqual(header)
    expect(parsed.claims).toEqual(claims)
    expect(parsed.signingInput.toString()).toBe(good.slice(0, good.lastIndexOf('.')))
    expect(parsed.signature.toString()).toBe('signature')
    expect(parsed.token).toBe(good)
  })

  it('never throws anything but a TokenError, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), fc.nat(good.length), (noise, place) => {
        refused(noise)
        refused(good.slice(0, place) + noise + good.slice(place))
        refused(compact(noise, noise))
      }),
    )
  })

  it('refuses none in every spelling with an empty signature', () => {
    for (const alg of ['none', 'None', 'NONE', 'noNE', 'ES256']) {
      expect(refused(compact({ alg }, claims, Buffer.alloc(0)))).toBe('malformed_token')
    }
  })

  it('refuses the JSON serialization, extra dots and missing parts', () => {
    const [first, second, third] = good.split('.')
    for (const token of [
      JSON.stringify({ payload: second, protected: first, signature: third }),
      JSON.stringify({ payload: second, signatures: [{ protected: first, signature: third }] }),
      `${good}.`,
      `.${good}`,
      `${good}..`,
      `${first}..${second}.${third}`,
      `${first}.${second}`,
      `${first}.${second}.`,
      `${first}..${third}`,
      `.${second}.${third}`,
      `${first}`,
      '..',
      '.',
      '',
    ]) {
      expect(refused(token), token).toBe('malformed_token')
    }
  })

  it('refuses an encrypted token where a signed one is due', () => {
    expect(refused('eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAA.AAAA.AAAA')).toBe('malformed_token')
    expect(refused(compact({ alg: 'dir', enc: 'A128GCM' }, claims))).toBe('malformed_token/enc')
  })

  it('refuses critical extensions, known elsewhere or not', () => {
    for (const crit of [['b64'], ['exp'], ['unknown'], [], null, 'exp']) {
      expect(refused(compact({ ...header, crit, unknown: 1 }, claims))).toBe('malformed_token/crit')
    }
  })

  it('refuses unencoded and detached payloads', () => {
    expect(refused(compact({ ...header, b64: false }, claims))).toBe('malformed_token/b64')
    expect(refused(compact({ ...header, b64: true }, claims))).toBe('malformed_token/b64')
    expect(refused(compact(header, ''))).toBe('malformed_token')
  })

  it('refuses duplicate header members and duplicate claims', () => {
    expect(refused(compact('{"alg":"none","alg":"ES256"}', claims))).toBe('malformed_token')
    expect(refused(compact('{"alg":"ES256","\\u0061lg":"none"}', claims))).toBe('malformed_token')
    expect(refused(compact(header, '{"sub":"a","sub":"b"}'))).toBe('malformed_token')
    expect(refused(compact(header, '{"cnf":{"jkt":"a","jkt":"b"}}'))).toBe('malformed_token')
  })

  it('refuses a header or claims that are no JSON object', () => {
    for (const part of ['[]', '"text"', 'null', '1', 'true', '', 'Test', '{}x']) {
      expect(refused(compact(part, claims)), part).toMatch('malformed_token')
      expect(refused(compact(header, part)), part).toBe('malformed_token')
    }
  })

  it('refuses a header without an algorithm, or with members of a wrong type', () => {
    for (const alg of [undefined, '', 1, null, ['ES256']]) {
      expect(refused(compact({ alg }, claims))).toBe('malformed_token/alg')
    }
    for (const kid of ['', 1, null, {}, 'k'.repeat(1025)]) {
      expect(refused(compact({ alg: 'ES256', kid }, claims))).toBe('malformed_token/kid')
    }
    expect(refused(compact({ alg: 'ES256', typ: 1 }, claims))).toBe('malformed_token/typ')
  })

  it('refuses invalid UTF-8 and a byte order mark', () => {
    const text = Buffer.from(JSON.stringify(claims))
    expect(refused(compact(header, Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), text])))).toBe('malformed_token')
    expect(refused(compact(header, Buffer.from([...Buffer.from('{"a":"'), 0xff, ...Buffer.from('"}')])))).toBe(
      'malformed_token',
    )
  })

  it('refuses every other spelling of the same bytes', () => {
    const [first, second, third] = compact({ alg: 'ES256' }, { a: 1 }, Buffer.from('sign')).split('.') as string[]
    const spellings = (part: string) => [
      `${part}=`,
      `${part}==`,
      `${part} `,
      ` ${part}`,
      `${part}\n`,
      restyleLast(part),
    ]
    for (const spelling of spellings(first!)) expect(refused(`${spelling}.${second}.${third}`)).toBe('malformed_token')
    for (const spelling of spellings(second!)) expect(refused(`${first}.${spelling}.${third}`)).toBe('malformed_token')
    for (const spelling of spellings(third!)) expect(refused(`${first}.${second}.${spelling}`)).toBe('malformed_token')
  })

  it('refuses 1 MB of key id, 10,000 levels and 10 MB of token before reading them', () => {
    const before = process.cpuUsage()
    expect(refused(compact({ alg: 'ES256', kid: 'k'.repeat(1_000_000) }, claims))).toBe('malformed_token')
    expect(refused(`${'A'.repeat(10_000_000)}.e30.AA`)).toBe('malformed_token')
    expect(refused(compact(header, `{"a":${'['.repeat(3000)}${']'.repeat(3000)}}`))).toBe('malformed_token')
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(1000)
  })

  it('obeys a smaller limit', () => {
    expect(refusal(() => parseJwt(good, { maximumLength: good.length }))).toBe('accepted')
    expect(refusal(() => parseJwt(good, { maximumLength: good.length - 1 }))).toBe('malformed_token')
  })

  it('refuses a member called __proto__ in header and claims', () => {
    expect(refused(compact('{"alg":"ES256","__proto__":{"kid":"x"}}', claims))).toBe('malformed_token')
    expect(refused(compact(header, '{"__proto__":{"sub":"admin"}}'))).toBe('malformed_token')
  })

  it('accepts odd key ids as what they are: names', () => {
    for (const kid of ['../../etc/passwd', "' OR 1=1 --", '__proto__', 'constructor', '\u0000']) {
      expect(parseJwt(compact({ alg: 'ES256', kid }, claims)).header.kid).toBe(kid)
    }
  })

  it('remembers headers without letting one caller change what another reads', () => {
    const token = compact({ alg: 'ES256', kid: 'frozen', x: { y: [1] } }, claims)
    const first = parseJwt(token).header as unknown as { kid: string; x: { y: number[] } }
    expect(() => (first.kid = 'other')).toThrow(TypeError)
    expect(() => first.x.y.push(2)).toThrow(TypeError)
    expect(parseJwt(token).header).toBe(first)
    expect(parseJwt(token).header.kid).toBe('frozen')
  })

  it('reads headers right through a flood of new ones', () => {
    for (let round = 0; round < 2000; round += 1) {
      expect(parseJwt(compact({ alg: 'ES256', kid: `k${round % 700}` }, claims)).header.kid).toBe(`k${round % 700}`)
    }
  })

  it('gives the same answer every time it is asked', () => {
    for (let round = 0; round < 5; round += 1) {
      expect(refused(good)).toBe('accepted')
      expect(refused(`${good}.`)).toBe('malformed_token')
    }
  })
})

/** The last character with its unused bits set; the part must have some. */
function restyleLast(part: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return part.slice(0, -1) + alphabet[alphabet.indexOf(part.at(-1)!) + 1]
}
