import { expect, it } from 'vitest'
import { defaultClient } from './access.ts'
import { formatAccess } from './format-access.ts'
import { parseAccess } from './parse-access.ts'

const text = `
clients:
  - id: orders
    spiffe_ids: [spiffe://shop.example/orders, spiffe://shop.example/batch/*]
  - id: legacy
    tls_client_auth: { subject_dn: "CN=legacy,O=Example" }
`

it('an access file says by which identities a client is known, and is written as it was read', () => {
  const { clients } = parseAccess(text, 'access.yaml')
  expect(clients).toMatchObject([
    { ...defaultClient, spiffe_ids: ['spiffe://shop.example/orders', 'spiffe://shop.example/batch/*'] },
    { ...defaultClient, tls_client_auth: { subject_dn: 'CN=legacy,O=Example' } },
  ])
  const present = new Map(clients.map((client) => [client.id, { ...client, created_at: '', updated_at: '' }]))
  const written = formatAccess({ apis: new Map(), clients: present, entries: [] } as never)
  const identities = (of: typeof clients) =>
    of.map(({ id, spiffe_ids, tls_client_auth }) => ({ id, spiffe_ids: spiffe_ids.toSorted(), tls_client_auth }))
  const again = parseAccess(written, 'written.yaml').clients
  expect(identities(again.toSorted((a, b) => (a.id < b.id ? 1 : -1)))).toEqual(identities(clients))
})

it.each([
  ['{ san_dns: a.example, san_ip: 192.0.2.1 }', /exactly one of/],
  ['{}', /exactly one of/],
  ['{ dns: a.example }', /no key "dns"/],
  ['a.example', /key: value/],
])('refuses tls_client_auth: %s, with its place', (value, message) => {
  const read = () => parseAccess(`clients:\n  - id: a\n    tls_client_auth: ${value}\n`, 'access.yaml')
  expect(read).toThrow(message)
  expect(read).toThrow(/access\.yaml:3/)
})
