import type { Bundle } from '@countersign/spiffe'
import { SpiffeError } from '@countersign/spiffe'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { beforeEach, expect, it } from 'vitest'
import { oncePerConnection } from './once-per-connection.ts'
import { type PeerCertificate, readPeerCertificate } from './peer-certificate.ts'

const example = createTestAuthority('example.org')
const start = Math.floor(Date.now() / 1000)
let bundle: Bundle | undefined
let times: number
let peer: PeerCertificate

const verified = oncePerConnection({ get: () => bundle }, () => {
  times += 1
  if (bundle === undefined) throw new SpiffeError('unavailable', 'there is no bundle')
  return 'orders'
})

beforeEach(() => {
  bundle = example.bundle
  times = 0
  const { certificates } = example.x509Svid('/orders', { lifetimeSeconds: 300 })
  peer = readPeerCertificate(certificates.map(({ der }) => der))!
})

it('verifies a connection once a minute, however many requests it has', () => {
  for (let second = 0; second < 60; second += 1) expect(verified(peer, start + second)).toBe('orders')
  expect(times).toBe(1)
  verified(peer, start + 60)
  expect(times).toBe(2)
})

it('verifies again at once where the bundle is another one, and when the clock goes back', () => {
  verified(peer, start)
  bundle = createTestAuthority('example.org').bundle
  verified(peer, start)
  expect(times).toBe(2)
  verified(peer, start - 1)
  expect(times).toBe(3)
})

it('verifies anew at each request once the certificate has expired', () => {
  const { notAfter } = peer.leaf
  for (const late of [-10, 1, 2]) verified(peer, notAfter + late)
  expect(times).toBe(3)
})

it('does not solve the maze of a chain that leads nowhere for every request, only where it could lead somewhere by now', () => {
  let solved = 0
  const first = bundle
  const judged = oncePerConnection({ get: () => bundle }, (_peer, now) => {
    solved += 1
    if (bundle === first) throw new SpiffeError('untrusted_svid', `no trusted CA at ${now}`)
    return 'orders'
  })
  for (let second = 0; second < 60; second += 1) expect(() => judged(peer, start + second)).toThrow(`at ${start}`)
  expect(solved).toBe(1)
  expect(() => judged(peer, start + 60)).toThrow('no trusted CA')
  expect(solved).toBe(2)
  bundle = createTestAuthority('example.org').bundle
  expect(judged(peer, start + 61)).toBe('orders')
})

it('does not remember that there was no bundle', () => {
  bundle = undefined
  expect(() => verified(peer, start)).toThrow('there is no bundle')
  bundle = example.bundle
  expect(verified(peer, start)).toBe('orders')
})
