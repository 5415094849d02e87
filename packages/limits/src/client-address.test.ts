import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createClientAddress } from './client-address.ts'

function addressOf(trustedProxies: string[], remoteAddress: string | undefined, forwardedFor?: string) {
  const headers = forwardedFor === undefined ? {} : { 'x-forwarded-for': forwardedFor }
  return createClientAddress({ trustedProxies })({ socket: { remoteAddress }, headers })
}

describe('createClientAddress', () => {
  it('is the address of the socket, normalised', () => {
    expect(addressOf([], '::ffff:192.0.2.1')).toBe('192.0.2.1')
    expect(addressOf([], '2001:DB8::1')).toBe('2001:db8::1')
    expect(addressOf([], undefined)).toBe('unknown')
  })

  it('does not believe X-Forwarded-For from anybody who is not a trusted proxy', () => {
    expect(addressOf([], '192.0.2.1', '203.0.113.9')).toBe('192.0.2.1')
    expect(addressOf(['10.0.0.0/8'], '192.0.2.1', '203.0.113.9')).toBe('192.0.2.1')
    expect(addressOf(['10.0.0.0/8'], undefined, '203.0.113.9')).toBe('unknown')
  })

  it('takes the right-most address that is not a trusted proxy, whatever a caller wrote left of it', () => {
    expect(addressOf(['10.0.0.0/8'], '10.0.0.1', '203.0.113.9')).toBe('203.0.113.9')
    expect(addressOf(['10.0.0.0/8'], '10.0.0.1', '1.1.1.1, 203.0.113.9')).toBe('203.0.113.9')
    expect(addressOf(['10.0.0.0/8'], '10.0.0.1', '127.0.0.1, 203.0.113.9, 10.0.0.2')).toBe('203.0.113.9')
    expect(addressOf(['10.0.0.0/8'], '::ffff:10.0.0.1', '10.9.9.9, 203.0.113.9,::ffff:10.0.0.2')).toBe('203.0.113.9')
  })

  it('cannot be told another address by anything written on the left', () => {
    fc.assert(
      fc.property(fc.string(), (written) => {
        expect(addressOf(['10.0.0.1'], '10.0.0.1', `${written}, 203.0.113.9`)).toBe('203.0.113.9')
      }),
    )
  })

  it('takes the left-most when all are trusted proxies', () => {
    expect(addressOf(['10.0.0.0/8'], '10.0.0.1', '10.0.0.3, 10.0.0.2')).toBe('10.0.0.3')
  })

  it('reads addresses with ports, and IPv6 in brackets', () => {
    expect(addressOf(['10.0.0.1'], '10.0.0.1', '203.0.113.9:1234')).toBe('203.0.113.9')
    expect(addressOf(['10.0.0.1'], '10.0.0.1', '[2001:DB8::1]:1234')).toBe('2001:db8::1')
    expect(addressOf(['10.0.0.1'], '10.0.0.1', '[2001:db8::1]')).toBe('2001:db8::1')
    expect(addressOf(['10.0.0.1'], '10.0.0.1', '2001:0db8::1')).toBe('2001:db8::1')
  })

  it.each([
    '',
    ',',
    'unknown',
    '_hidden',
    '010.0.0.1',
    'fe80::1%eth0',
    '1.2.3.4:x',
    '[1.2.3.4]',
    '"1.2.3.4"',
    '<script>',
  ])('falls back to the address of the socket for %j', (forwardedFor) =>
    expect(addressOf(['10.0.0.0/8'], '10.0.0.1', forwardedFor)).toBe('10.0.0.1'),
  )

  it('looks at no more than 32 hops', () => {
    const hops = ['203.0.113.9', ...Array<string>(32).fill('10.0.0.2')]
    expect(addressOf(['10.0.0.0/8'], '10.0.0.1', hops.join(','))).toBe('10.0.0.2')
  })

  it.each(['0.0.0.0/0', '::/0'])('refuses to trust everybody (%s)', (cidr) => {
    expect(() => createClientAddress({ trustedProxies: [cidr] })).toThrow('name your proxies')
  })

  it('refuses a network that would trust all of IPv4 by accident', () => {
    for (const cidr of ['::ffff:10.0.0.0/8', '::ffff:0:0/96']) {
      expect(() => createClientAddress({ trustedProxies: [cidr] })).toThrow(/IPv4-mapped/)
    }
  })

  it('sees through several X-Forwarded-For lines of a real request', async () => {
    const clientAddress = createClientAddress({ trustedProxies: ['127.0.0.1'] })
    const server = createServer((request, response) => void response.end(clientAddress(request)))
    await new Promise<void>((ready) => server.listen(0, ready))
    const headers = new Headers({ connection: 'close' })
    headers.append('x-forwarded-for', '1.1.1.1')
    headers.append('x-forwarded-for', '203.0.113.9')
    const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, { headers })
    expect(await response.text()).toBe('203.0.113.9')
    await new Promise((closed) => server.close(closed))
  })
})
