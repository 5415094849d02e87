import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatPemCertificates } from '@countersign/spiffe'
import { createTestAuthority } from '@countersign/spiffe/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseClientCert } from './client-cert-header.ts'
import { parseForwardedClientCert } from './forwarded-client-cert.ts'
import { PeerCertificateError } from './peer-certificate.ts'

const authority = createTestAuthority('example.org')
const leaf = authority.x509Svid('/orders').certificates[0]!.der
const other = authority.x509Svid('/billing').certificates[0]!.der
const root = authority.issuer.certificate.der
const sf = (der: Buffer) => `:${der.toString('base64')}:`
const quoted = (...ders: Buffer[]) => `"${encodeURIComponent(formatPemCertificates(ders))}"`

describe('Client-Cert and Client-Cert-Chain (RFC 9440)', () => {
  it('are a byte sequence and a list of them, leaf first', () => {
    expect(parseClientCert(sf(leaf), undefined)).toEqual([leaf])
    expect(parseClientCert(`  ${sf(leaf)} `, `${sf(other)}, ${sf(root)}`)).toEqual([leaf, other, root])
    expect(parseClientCert(sf(leaf), '')).toEqual([leaf])
    expect(parseClientCert(undefined, undefined)).toEqual([])
  })

  it('may leave out the padding, as RFC 9651 section 4.2.7 allows', () => {
    for (const bytes of [Buffer.from('a'), Buffer.from('ab'), Buffer.from('abc')]) {
      expect(parseClientCert(`:${bytes.toString('base64').replace(/=/g, '')}:`, undefined)).toEqual([bytes])
    }
  })

  it.each([
    '',
    '::',
    leaf.toString('base64'),
    `:${leaf.toString('base64')}`,
    `"${leaf.toString('base64')}"`,
    `:${leaf.toString('base64url')}_-:`,
    `:${leaf.toString('base64')}:;a=1`,
    `${sf(leaf)}, ${sf(other)}`,
    ':YQ==YQ==:',
    ':YR==:',
    ':Y Q=:',
    `:${'YWFh'.repeat(16 * 1024)}:`,
  ])('refuses %.40s', (text) => {
    expect(() => parseClientCert(text, undefined)).toThrow(PeerCertificateError)
  })

  it('refuses a chain without its leaf, and one that is too long', () => {
    expect(() => parseClientCert(undefined, sf(root))).toThrow(/without/)
    expect(() => parseClientCert(sf(leaf), Array(11).fill(sf(root)).join(','))).toThrow(/more than/)
    expect(() => parseClientCert(sf(leaf), `${sf(root)},`)).toThrow(PeerCertificateError)
  })
})

describe('X-Forwarded-Client-Cert of Envoy', () => {
  it('gives the chain of its last element, which the proxy itself has added', () => {
    const own = `By=spiffe://example.org/proxy;Hash=${'a'.repeat(64)};Cert=${quoted(leaf)};Chain=${quoted(leaf, root)};Subject="CN=a,O=\\"b\\"";URI=spiffe://example.org/orders`
    expect(parseForwardedClientCert(own)).toEqual([leaf, root])
    expect(parseForwardedClientCert(`Cert=${quoted(other)},${own}`)).toEqual([leaf, root])
    expect(parseForwardedClientCert(`By=spiffe://example.org/edge;Hash=${'b'.repeat(64)},${own}`)).toEqual([leaf, root])
    expect(parseForwardedClientCert(`Cert=${quoted(leaf)}`)).toEqual([leaf])
    expect(parseForwardedClientCert(`Chain=${quoted(leaf, root)}`)).toEqual([leaf, root])
    expect(parseForwardedClientCert(`URI=spiffe://example.org/orders;cert=${quoted(leaf)};DNS=`)).toEqual([leaf])
    expect(parseForwardedClientCert(undefined)).toEqual([])
    expect(parseForwardedClientCert(' ')).toEqual([])
  })

  it.each([
    ['names a certificate without showing it', `Hash=${'a'.repeat(64)};URI=spiffe://example.org/orders`],
    ['has two of them', `Cert=${quoted(leaf)};Cert=${quoted(other)}`],
    ['has a chain of another certificate', `Cert=${quoted(leaf)};Chain=${quoted(other, root)}`],
    ['has a quote that does not end', `Subject="CN=a;Cert=${quoted(leaf)}`],
    ['has no PEM', 'Cert="abc"'],
    ['has a broken escape', 'Cert="%zz"'],
    ['has text after a quote', `Cert=${quoted(leaf)}x`],
    ['names another than the certificate', `Cert=${quoted(leaf)};URI=spiffe://example.org/billing`],
    ['names a host more than the certificate', `Cert=${quoted(leaf)};DNS=example.org`],
    ['has text before a quote', `By=x"y";Cert=${quoted(leaf)}`],
    ['has an empty element at its end', `Cert=${quoted(leaf)},`],
    ['is longer than any honest one', `X=${'a'.repeat(128 * 1024)};Cert=${quoted(leaf)}`],
  ])('is refused when it %s', (_name, text) => {
    expect(() => parseForwardedClientCert(text)).toThrow(PeerCertificateError)
  })

  it('never gives what a client has written into the subject of his own certificate, with a quote sent ahead', () => {
    // As RFC 2253 escapes O=a,Cert=...;X=" and Envoy quotes it.
    const subject = `O=a\\,Cert=${quoted(other).slice(1, -1)}\\;X=\\"`
    const own = `Hash=${'a'.repeat(64)};Cert=${quoted(leaf)};Subject="${subject}";URI=spiffe://example.org/orders`
    expect(parseForwardedClientCert(own)).toEqual([leaf])
    for (const sent of ['"', '""', 'X="', 'Subject="', 'X="\\\\']) {
      expect(() => parseForwardedClientCert(`${sent},${own}`)).toThrow(PeerCertificateError)
    }
  })

  it('never gives what a client has written into a name of his own certificate', () => {
    const inject = (element: string) => `x,Hash=${'a'.repeat(64)};Cert=${quoted(other).slice(1, -1)};${element}`
    const uri = inject('URI=spiffe://example.org/billing')
    const mine = selfSigned([`URI.1 = ${uri}`])
    expect(() => parseForwardedClientCert(`Hash=${'b'.repeat(64)};Cert=${quoted(mine)};URI=${uri}`)).toThrow(/names/)
    const twice = selfSigned(['URI.1 = x', `URI.2 = ${uri}`])
    expect(() => parseForwardedClientCert(`Hash=${'b'.repeat(64)};Cert=${quoted(twice)};URI=x;URI=${uri}`)).toThrow(
      /names/,
    )
    const dns = inject('DNS=billing')
    const host = selfSigned([`DNS.1 = ${dns}`])
    expect(() => parseForwardedClientCert(`Hash=${'b'.repeat(64)};Cert=${quoted(host)};DNS=${dns}`)).toThrow(/names/)
  })

  it.each([
    ['DNS', 'DNS.1'],
    ['URI', 'URI.1'],
  ])('never gives what follows a comma at the very beginning of a %s of his own certificate', (field, name) => {
    const injected = `,Hash=${'a'.repeat(64)};Cert=${quoted(other).slice(1, -1)}`
    const mine = selfSigned([`${name} = ${injected}`])
    const told = `Hash=${'b'.repeat(64)};Cert=${quoted(mine)};${field}=${injected}`
    expect(() => parseForwardedClientCert(told)).toThrow(/names/)
  })

  it('never gives what a client put before the element of the proxy, however it is quoted (attack 77)', () => {
    const subject = `CN=\\"a\\,Cert=${quoted(other).slice(1, -1)}\\"`
    const own = `Hash=${'a'.repeat(64)};Cert=${quoted(leaf)};Subject="${subject}";URI=spiffe://example.org/orders`
    const pieces = fc.constantFrom('"', '\\', ',', ';', '=', 'Cert=', quoted(other), 'Chain=', 'a', ' ', 'X="')
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
        let chain: readonly Uint8Array[]
        try {
          chain = parseForwardedClientCert(`${parts.join('')},${own}`)
        } catch (error) {
          expect(error).toBeInstanceOf(PeerCertificateError)
          return
        }
        expect(chain).toEqual([leaf])
      }),
      { numRuns: 2_000 },
    )
  })
})

/** As an attacker makes his own: openssl does not look at what a name holds. */
function selfSigned(names: readonly string[]): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-names-'))
  try {
    const file = join(folder, 'openssl.cnf')
    writeFileSync(
      file,
      `[req]\ndistinguished_name=dn\nx509_extensions=v3\n[dn]\n[v3]\nsubjectAltName=@names\n[names]\n${names.join('\n')}\n`,
    )
    const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', '/dev/null']
    const args = ['req', '-x509', ...made, '-subj', '/CN=mallory', '-config', file, '-outform', 'DER']
    return execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'ignore'] })
  } finally {
    rmSync(folder, { recursive: true })
  }
}
