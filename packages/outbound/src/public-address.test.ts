import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addressKind, isPublicAddress } from './public-address.ts'

describe('isPublicAddress', () => {
  it.each(['1.1.1.1', '8.8.8.8', '172.15.255.255', '172.32.0.0', '223.255.255.255', '2606:4700:4700::1111', '2a00::1'])(
    'takes %s for public',
    (address) => expect(isPublicAddress(address)).toBe(true),
  )

  it.each([
    ['loopback', '127.0.0.1'],
    ['loopback, far end', '127.255.255.254'],
    ['this network', '0.0.0.0'],
    ['private use', '10.0.0.1'],
    ['private use', '172.16.0.1'],
    ['private use', '172.31.255.255'],
    ['private use', '192.168.1.1'],
    ['carrier-grade NAT', '100.64.0.1'],
    ['link-local, cloud metadata', '169.254.169.254'],
    ['Azure metadata', '168.63.129.16'],
    ['Alibaba metadata', '100.100.100.200'],
    ['protocol assignments', '192.0.0.1'],
    ['documentation', '192.0.2.1'],
    ['benchmarks', '198.18.0.1'],
    ['multicast', '224.0.0.1'],
    ['reserved', '240.0.0.1'],
    ['broadcast', '255.255.255.255'],
    ['loopback', '::1'],
    ['unspecified', '::'],
    ['unique local', 'fd12:3456::1'],
    ['EC2 metadata', 'fd00:ec2::254'],
    ['link-local', 'fe80::1'],
    ['link-local with a zone', 'fe80::1%eth0'],
    ['a public address with a zone', '2606:4700::1%eth0'],
    ['multicast', 'ff02::1'],
    ['documentation', '2001:db8::1'],
    ['documentation', '3fff::1'],
    ['Teredo', '2001:0:4136:e378::1'],
    ['6to4 of 10.0.0.1', '2002:a00:1::'],
    ['mapped loopback', '::ffff:127.0.0.1'],
    ['mapped loopback in hexadecimal', '::ffff:7f00:1'],
    ['mapped loopback, written out', '0:0:0:0:0:FFFF:7F00:0001'],
    ['mapped metadata', '::ffff:a9fe:a9fe'],
    ['compatible loopback', '::127.0.0.1'],
    ['translated loopback', '::ffff:0:127.0.0.1'],
    ['NAT64 of metadata', '64:ff9b::169.254.169.254'],
    ['NAT64 of 10.0.0.1 in hexadecimal', '64:ff9b::a00:1'],
    ['NAT64 of 0.0.0.0', '64:ff9b::'],
    ['local-use NAT64', '64:ff9b:1::8.8.8.8'],
    ['leading zeros', '010.0.0.1'],
    ['a number', '2130706433'],
    ['short', '127.1'],
    ['hexadecimal', '0x7f.0.0.1'],
    ['brackets', '[2606:4700::1]'],
    ['nothing', ''],
    ['a name', 'localhost'],
  ])('refuses %s: %s', (_what, address) => expect(isPublicAddress(address)).toBe(false))

  it('judges a mapped or NAT64 address by the IPv4 address inside, however it is written', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number)
        const groups = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
        const kinds = ['::ffff:', '0:0:0:0:0:ffff:', '64:ff9b::', '64:ff9b:0:0:0:0:'].flatMap((prefix) => [
          addressKind(prefix + address),
          addressKind(prefix + groups),
        ])
        expect(new Set(kinds)).toEqual(new Set([addressKind(address)]))
      }),
      { numRuns: 2_000 },
    )
  })

  it('never throws on text that is no address', () => {
    fc.assert(fc.property(fc.string(), (text) => typeof isPublicAddress(text) === 'boolean'))
  })
})

describe('addressKind', () => {
  it('keeps metadata and link-local apart from private networks, which may be allowed', () => {
    expect(['10.0.0.1', '127.0.0.1', '::1', 'fd12::1', '100.64.0.1'].map(addressKind)).toEqual(Array(5).fill('private'))
    expect(['169.254.169.254', '100.100.100.200', 'fd00:ec2::254', 'fe80::1', '0.0.0.0'].map(addressKind)).toEqual(
      Array(5).fill('forbidden'),
    )
  })
})
