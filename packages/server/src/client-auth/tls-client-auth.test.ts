import { parsePemCertificates } from '@countersign/spiffe'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { expect, it } from 'vitest'
import type { TlsClientAuth } from '../clients/client.ts'
import { hasName } from './tls-client-auth.ts'

const authority = createTestAuthority('clients.test')
const names = { commonName: 'orders', dnsNames: ['orders.example.org'], ipAddresses: ['192.0.2.7', '2001:db8::7'] }
const [issued] = parsePemCertificates(authority.certificate(names).certificatePem)
const leaf = { ...issued!, uris: ['urn:orders'], emails: ['orders@example.org'] }

it.each<[TlsClientAuth['name'], string, readonly string[]]>([
  ['san_dns', 'orders.example.org', ['example.org', '*.example.org', 'orders.example.org.', 'orders']],
  ['san_ip', '192.0.2.7', ['192.0.2.70', '192.0.2.0', '::ffff:192.0.2.7']],
  ['san_ip', '2001:db8::7', ['2001:db8::', '2001:db8::70']],
  ['san_uri', 'urn:orders', ['urn:order', 'URN:orders', 'urn:orders#']],
  ['san_email', 'orders@example.org', ['example.org', 'orders@example.org.evil', 'Orders@example.org']],
  ['subject_dn', 'CN=orders', ['CN=order', 'O=orders', 'CN=orders,O=Example']],
])('knows a certificate by its %s %s, and by nothing like it (attack 50)', (name, value, others) => {
  expect(hasName(leaf, { name, value })).toBe(true)
  for (const other of others) expect(hasName(leaf, { name, value: other })).toBe(false)
})

it('does not know a certificate by a name of another kind', () => {
  const kinds = { san_dns: 'orders', san_uri: 'orders.example.org', san_email: 'urn:orders', san_ip: 'orders' } as const
  for (const [name, value] of Object.entries(kinds)) {
    expect(hasName(leaf, { name: name as TlsClientAuth['name'], value })).toBe(false)
  }
})
