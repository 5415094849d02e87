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
  verified(peer, start + 290)
  verified(peer, start + 301)
  verified(peer, start + 302)
  expect(times).toBe(3)
})

it('remembers no failure', () => {
  bundle = undefined
  expect(() => verified(peer, start)).toThrow('there is no bundle')
  bundle = example.bundle
  expect(verified(peer, start)).toBe('orders')
})
