import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createAddressList, normaliseAddress } from './address.ts'
import { addressKey } from './address-key.ts'

describe('normaliseAddress', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:c000:0201', '192.0.2.1'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['2001:0db8::0001', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
  ])('spells %s as %s', (text, expected) => expect(normaliseAddress(text)).toBe(expected))

  it.each([
    '',
    '010.0.0.1',
    '1.2.3',
    '0x7f.1',
    '2130706433',
    '[::1]',
    ' 1.2.3.4',
    '1.2.3.4:80',
    '1.2.3.4/8',
    'localhost',
  ])('does not take %j for an address', (text) => expect(normaliseAddress(text)).toBeUndefined())

  it('gives the spellings of one IPv6 address one spelling, which is its own', () => {
    const groups = fc.array(fc.constantFrom(0, 0, 1, 0xffff, 0x2001), { minLength: 8, maxLength: 8 })
    fc.assert(
      fc.property(groups, (address) => {
        const long = address.map((group) => group.toString(16).padStart(4, '0').toUpperCase()).join(':')
        const short = address.map((group) => group.toString(16)).join(':')
        const normal = normaliseAddress(long)
        expect(normaliseAddress(short)).toBe(normal)
        expect(normaliseAddress(normal ?? '')).toBe(normal)
      }),
    )
  })
})

describe('addressKey', () => {
  it('counts an IPv4 address by itself, however it is written', () => {
    expect(addressKey('192.0.2.1')).toBe('192.0.2.1')
    expect(addressKey('::ffff:192.0.2.1')).toBe('192.0.2.1')
  })

  it('counts the rotating addresses of one IPv6 /64 together, and other networks apart', () => {
    const interfaceId = fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 4, maxLength: 4 })
    fc.assert(
      fc.property(interfaceId, (groups) => {
        const tail = groups.map((group) => group.toString(16)).join(':')
        expect(addressKey(`2001:db8:1:2:${tail}`)).toBe('2001:db8:1:2::/64')
        expect(addressKey(`2001:DB8:0001:0002:${tail.toUpperCase()}`)).toBe('2001:db8:1:2::/64')
        expect(addressKey(`2001:db8:1:3:${tail}`)).toBe('2001:db8:1:3::/64')
      }),
    )
  })

  it.each([
    ['::1', '::/64'],
    ['2001:db8::1', '2001:db8::/64'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4::/64'],
    ['1:0:0:4::', '1:0:0:4::/64'],
    ['fe80::1%eth0', 'fe80::/64'],
    ['unknown', 'unknown'],
  ])('counts %s under %s', (address, key) => expect(addressKey(address)).toBe(key))

  it('does not count all IPv4 clients behind a stateless translator together', () => {
    expect(addressKey('64:ff9b::192.0.2.1')).not.toBe(addressKey('64:ff9b::192.0.2.2'))
    expect(addressKey('64:ff9b::192.0.2.1')).toBe(addressKey('64:FF9B:0:0:0:0:c000:201'))
  })
})

describe('createAddressList', () => {
  it('has the addresses of its networks and no others', () => {
    const list = createAddressList(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32', '::1'])
    expect(['10.255.0.1', '::ffff:10.0.0.1', '192.0.2.7', '2001:DB8:ffff::1', '::1', '0:0::1'].map(list.has)).toEqual(
      Array(6).fill(true),
    )
    expect(
      ['11.0.0.1', '192.0.2.8', '::ffff:11.0.0.1', '2001:db9::1', '::2', '', 'x', '010.0.0.1'].map(list.has),
    ).toEqual(Array(8).fill(false))
  })

  it('has nothing when it is empty, and every address of a family for a prefix of 0', () => {
    expect(createAddressList([]).has('10.0.0.1')).toBe(false)
    expect(createAddressList(['0.0.0.0/0']).has('203.0.113.1')).toBe(true)
    expect(createAddressList(['0.0.0.0/0']).has('2001:db8::1')).toBe(false)
    expect(createAddressList(['::/0']).has('203.0.113.1')).toBe(false)
    expect(createAddressList(['::/0']).has('::ffff:203.0.113.1')).toBe(false)
  })

  it.each(['::/0', '::/1', '::/64', '::/80'])(
    'does not find IPv4 addresses in %s, which holds their mapped form',
    (cidr) => {
      expect(createAddressList([cidr]).has('::1')).toBe(true)
      expect(createAddressList([cidr]).has('203.0.113.1')).toBe(false)
    },
  )

  it('does not read an IPv4-mapped network as all of IPv4', () => {
    for (const cidr of [
      '::ffff:10.0.0.0/8',
      '::ffff:0:0/96',
      '::ffff:a00:0/104',
      '::ffff:10.0.0.1/128',
      '::ffff:0.0.0.0/0',
    ]) {
      expect(() => createAddressList([cidr])).toThrow(/IPv4-mapped/)
    }
    expect(createAddressList(['::ffff:10.0.0.1']).has('10.0.0.1')).toBe(true)
    expect(createAddressList(['::ffff:10.0.0.1']).has('10.0.0.2')).toBe(false)
  })

  it.each([
    '',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/',
    '10.0.0.0/08',
    '10.0.0.0/-1',
    '010.0.0.0/8',
    '10.0.0',
    '10.0.0.0/8 ',
    'all',
    'fe80::1%eth0/64',
  ])('refuses %j', (cidr) =>
    expect(() => createAddressList([cidr])).toThrow(expect.objectContaining({ code: 'invalid_address' })),
  )

  it('says how to write a network that has bits set beyond its prefix', () => {
    expect(() => createAddressList(['10.1.2.3/8'])).toThrow('write 10.0.0.0/8 or 10.1.2.3')
    expect(() => createAddressList(['2001:db8::1/32'])).toThrow('write 2001:db8::/32 or 2001:db8::1')
  })
})
