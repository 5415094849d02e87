import { TokenError } from '@countersign/tokens'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { GuardConfigurationError } from '../guard-error.ts'
import { createSenderKeys } from './sender-keys.ts'
import { startSenders, type TestSender, type TestSenders } from './senders.fixture.ts'

let senders: TestSenders
let order: TestSender
let time: number
const now = () => time
beforeEach(async () => {
  time = 1_000_000
  senders = await startSenders()
  order = await senders.add('order')
})
afterEach(() => senders.stop())

const header = (kid: string) => ({ kid, alg: 'EdDSA' })
const outcome = async (work: unknown) => {
  try {
    return ((await work) as { kid: string } | undefined)?.kid ?? 'no key'
  } catch (error) {
    return error instanceof TokenError ? `no ${error.part}` : 'away'
  }
}

describe('JWKS_URL', () => {
  it.each([
    'https://auth.example.com/$service/.well-known/jwks.json',
    'http://$service.internal:8080/.well-known/jwks.json',
    'https://$service/.well-known/jwks.json',
    'http://10.0.0.1/keys/$service?version=1',
    'http://[::1]:8080/$service/jwks.json',
  ])('may be %s', (template) => {
    expect(() => createSenderKeys({ template })).not.toThrow()
  })

  it.each([
    ['https://auth.example.com/.well-known/jwks.json', /needs \$service/],
    ['https://auth.example.com/$service.json', /whole path segment/],
    ['https://auth.example.com/x-$service/jwks.json', /whole path segment/],
    ['https://x$service.example.com/jwks.json', /whole path segment/],
    ['https://auth.example.com/$service$service/jwks.json', /whole path segment/],
    ['https://auth.example.com/keys?of=$service', /query/],
    ['https://auth.example.com/keys/$service?of=$service', /query/],
    ['https://$service@auth.example.com/jwks.json', /user name/],
    ['https://user:secret@auth.example.com/$service', /user name/],
    ['https://auth.example.com:$service/jwks.json', /./],
    ['https://auth.example.com/#$service', /fragment/],
    ['ftp://auth.example.com/$service', /http/],
    ['file:///etc/$service', /http/],
    ['$service', /http/],
    ['', /http/],
  ])('may not be %s', (template, why) => {
    expect(() => createSenderKeys({ template })).toThrow(GuardConfigurationError)
    expect(() => createSenderKeys({ template })).toThrow(why)
  })
})

describe('the keys of senders', () => {
  it("come from the sender's own set, fetched once, and from no other", async () => {
    const billing = await senders.add('billing')
    const keys = createSenderKeys({ template: senders.template, now })
    const all = Array.from({ length: 50 }, () => keys.keyFor('order', header(order.kid)))
    for (const found of await Promise.all(all)) expect(found?.kid).toBe(order.kid)
    expect(senders.asked.get('order')).toBe(1)
    expect(await outcome(keys.keyFor('order', header(billing.kid)))).toBe('no key')
    expect(keys.keyFor('order', header(order.kid)), 'at once when at hand').not.toBeInstanceOf(Promise)
  })

  it('know a new key at its first use', async () => {
    const keys = createSenderKeys({ template: senders.template, now })
    expect(await outcome(keys.keyFor('order', header(order.kid)))).toBe(order.kid)
    for (const _time of [1, 2, 3]) {
      const next = await senders.add('order')
      expect(await outcome(keys.keyFor('order', header(next.kid)))).toBe(next.kid)
      expect(await outcome(keys.keyFor('order', header('of-nobody')))).toBe('no key')
      time += 2_000
    }
  })

  it('are looked up once per two seconds, however many unknown kids come (29)', async () => {
    const keys = createSenderKeys({ template: senders.template, now })
    await keys.keyFor('order', header(order.kid))
    await Promise.all(Array.from({ length: 200 }, (_, index) => keys.keyFor('order', header(`kid-${index}`))))
    expect(senders.asked.get('order')).toBe(2)
  })

  it('are remembered to be absent, for half a minute', async () => {
    const keys = createSenderKeys({ template: senders.template, now })
    for (let round = 0; round < 20; round++) expect(await outcome(keys.keyFor('late', header('x')))).toBe('no sender')
    expect(senders.asked.get('late')).toBe(1)
    const late = await senders.add('late')
    time += 30_001
    expect(await outcome(keys.keyFor('late', header(late.kid)))).toBe(late.kid)
  })

  it('are looked up for at most 100 strangers at once, and 10 a second (29)', async () => {
    const keys = createSenderKeys({ template: senders.template, now })
    const flood = (from: number, count: number) =>
      Promise.all(Array.from({ length: count }, (_, index) => outcome(attempt(keys, `stranger-${from + index}`))))
    const first = await flood(0, 500)
    expect(first.filter((each) => each === 'no sender')).toHaveLength(100)
    expect(first.filter((each) => each === 'away')).toHaveLength(400)
    time += 1_000
    expect((await flood(500, 50)).filter((each) => each === 'no sender')).toHaveLength(10)
    expect([...senders.asked.values()].reduce((sum, each) => sum + each, 0)).toBe(110)
  })

  it('are had during a flood of strangers for who is known or expected', async () => {
    const billing = await senders.add('billing')
    const keys = createSenderKeys({ template: senders.template, now, expected: ['billing-service'] })
    await keys.keyFor('order', header(order.kid))
    for (let index = 0; index < 300; index++) await outcome(attempt(keys, `stranger-${index}`))
    expect(await outcome(keys.keyFor('order', header(order.kid)))).toBe(order.kid)
    expect(await outcome(keys.keyFor('billing', header(billing.kid)))).toBe(billing.kid)
  })

  it.each([
    ['fails', (response: { writeHead(status: number): { end(): void } }) => response.writeHead(500).end()],
    ['is forbidden', (response: { writeHead(status: number): { end(): void } }) => response.writeHead(403).end()],
    ['redirects', (response: never) => redirect(response)],
    ['is HTML', (response: { end(text: string): void }) => response.end('<html>')],
    ['is no set', (response: { end(text: string): void }) => response.end('{"keys":{}}')],
    [
      'is too large',
      (response: { end(text: string): void }) => response.end(`{"keys":[],"x":"${'x'.repeat(70_000)}"}`),
    ],
    ['has ten thousand keys', (response: { end(text: string): void }) => response.end(manyKeys)],
    ['hangs up', (response: { destroy(): void }) => response.destroy()],
  ])('are away, not absent, while their place %s (28, 30)', async (_what, answer) => {
    senders.answer = (_request, response) => void answer(response as never)
    const keys = createSenderKeys({ template: senders.template, now })
    expect(await outcome(keys.keyFor('order', header(order.kid)))).toBe('away')
    senders.answer = undefined
    time += 5_001
    expect(await outcome(keys.keyFor('order', header(order.kid)))).toBe(order.kid)
  })

  it('serve on while their place is away, for an hour (28)', async () => {
    const keys = createSenderKeys({ template: senders.template, now })
    await keys.keyFor('order', header(order.kid))
    senders.answer = (_request, response) => void response.writeHead(500).end()
    expect(await outcome(keys.keyFor('order', header('may-be-new')))).toBe('away')
    time += 3_500_000
    expect(await outcome(keys.keyFor('order', header(order.kid)))).toBe(order.kid)
    time += 200_000
    expect(await outcome(keys.keyFor('order', header(order.kid)))).toBe('away')
  })

  it('do not hold a private key that leaked into the set (37)', async () => {
    senders.published.set('order', [{ ...order.key.publicJwk, d: 'A'.repeat(43) } as never])
    const keys = createSenderKeys({ template: senders.template, now })
    expect(await outcome(keys.keyFor('order', header(order.kid)))).toBe('away')
  })

  it('are of a host of its own where $service is a label of it, and absent where there is no such host', async () => {
    const template = `${senders.template.replace('/$service', '').replace('127.0.0.1', '$service.localhost')}`
    const keys = createSenderKeys({ template: template.replace('$service.localhost', '$service.invalid'), now })
    expect(await outcome(keys.keyFor('order', header(order.kid)))).toMatch(/no sender|away/)
  })

  it('are never fetched from an address that a sender is called by, such as 2130706433 for 127.0.0.1 (31)', async () => {
    // Whoever owns an address could otherwise sign as the service of that name, without being registered anywhere.
    const template = senders.template.replace('/$service', '/order').replace('127.0.0.1', '$service')
    const keys = createSenderKeys({ template, now })
    for (const name of ['2130706433', '0x7f000001', '017700000001', '2852039166', '0', 'xn--a']) {
      expect(await outcome(keys.keyFor(name, header(order.kid))), name).toBe('no sender')
    }
    expect([...senders.asked.keys()]).toEqual([])
  })
})

function attempt(keys: ReturnType<typeof createSenderKeys>, name: string): Promise<unknown> {
  return (async () => keys.keyFor(name, header('x')))()
}

function redirect(response: { writeHead(status: number, headers: object): { end(): void } }): void {
  response.writeHead(302, { location: 'http://169.254.169.254/' }).end()
}

const manyKeys = JSON.stringify({ keys: Array.from({ length: 10_000 }, () => ({})) })
