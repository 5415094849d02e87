import { certificateThumbprint, parsePemCertificates } from '@countersign/spiffe'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { expect, it } from 'vitest'
import type { ClientRecord } from '../clients/client.ts'
import { type ClientAuthContext, ClientAuthFailure, type ClientRequest } from './client-auth-method.ts'
import { selfSignedTlsClientAuth } from './self-signed-tls-client-auth.ts'
import { spiffeX509 } from './spiffe-x509.ts'
import { tlsClientAuth } from './tls-client-auth.ts'

const authority = createTestAuthority('example.org')
const root = authority.issuer.certificate
const now = Math.floor(Date.now() / 1000)
const plain = parsePemCertificates(authority.certificate({ dnsNames: ['orders.example.org'] }).certificatePem)
const svid = authority.x509Svid('/orders').certificates

const orders = {
  id: 'orders',
  disabled: false,
  authMethods: undefined,
  spiffeIds: ['spiffe://example.org/orders'],
  tlsClientAuth: { name: 'san_dns', value: 'orders.example.org' },
  secrets: [],
  keys: [{ id: 'key', certificate: root.der }],
} as unknown as ClientRecord

function shown(chain: readonly (typeof root)[]): ClientRequest {
  const [leaf = root] = chain
  const certificate = { leaf, chain, thumbprint: certificateThumbprint(leaf.der) }
  return { form: new Map([['client_id', ['orders']]]), authorization: undefined, address: '127.0.0.1', certificate }
}

function at(seconds: number): ClientAuthContext {
  return {
    findClient: () => orders,
    clientAuthorities: () => [root],
    bundles: new Map([['example.org', authority.bundle]]),
    revocations: { isRevokedSerial: () => false, isRevokedJwtSvid: () => false },
    onCredentialUsed: () => {},
    now: () => seconds,
  } as unknown as ClientAuthContext
}

it('refuses a registered certificate that has expired, or is not valid yet (attack 53)', async () => {
  const request = shown([root])
  for (const good of [root.notBefore, now, root.notAfter]) {
    expect(await selfSignedTlsClientAuth.authenticate(request, at(good))).toMatchObject({ credentialId: 'key' })
  }
  for (const wrong of [root.notBefore - 1, root.notAfter + 1]) {
    await expect(selfSignedTlsClientAuth.authenticate(request, at(wrong))).rejects.toThrow(ClientAuthFailure)
  }
})

it.each([
  ['tls_client_auth', tlsClientAuth, plain, { tlsClientAuth: { name: 'san_dns', value: 'billing.example.org' } }],
  ['tls_client_auth', tlsClientAuth, plain, { tlsClientAuth: undefined }],
  ['spiffe_x509', spiffeX509, svid, { spiffeIds: ['spiffe://example.org/billing'] }],
  ['spiffe_x509', spiffeX509, svid, { spiffeIds: [] }],
] as const)('knows by %s when the client has lost the name meanwhile', async (_name, method, chain, change) => {
  const { isHeldBy } = await method.authenticate(shown(chain), at(now))
  expect(isHeldBy?.(orders)).toBe(true)
  expect(isHeldBy?.({ ...orders, ...change } as ClientRecord)).toBe(false)
})
