import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Certificate } from './certificate.ts'
import { checkDistinguishedName, matchesDistinguishedName } from './match-distinguished-name.ts'
import { parsePemCertificates } from './pem.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-names-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** A certificate of openssl with this subject, and how openssl writes it by RFC 2253. */
function certificateOf(subject: string): { certificate: Certificate; written: string } {
  const file = join(folder, 'cert.pem')
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', join(folder, 'key.pem')]
  execFileSync('openssl', ['req', '-x509', '-utf8', '-multivalue-rdn', ...newKey, '-subj', subject, '-out', file], {
    stdio: 'pipe',
  })
  const shown = execFileSync('openssl', ['x509', '-noout', '-subject', '-nameopt', 'RFC2253', '-in', file])
  return {
    certificate: parsePemCertificates(readFileSync(file, 'utf8'))[0]!,
    written: String(shown).replace(/\n$/, '').replace('subject=', ''),
  }
}

describe('a name as RFC 4514 writes it', () => {
  it.each([
    '/C=DE/O=Example, Inc./OU=Shipping + Handling/CN=orders',
    '/O=a\\/b "c" <d>;e\\\\f/CN=#orders',
    '/O=Müller & Söhne/CN=orders',
    '/DC=org/DC=example/UID=17+CN=two of one',
    '/CN=orders/emailAddress=orders@example.org',
    '/CN= orders ',
  ])('matches what openssl shows of %s, and what we show', (subject) => {
    const { certificate, written } = certificateOf(subject)
    expect(matchesDistinguishedName(certificate.subjectDer, written)).toBe(true)
    expect(matchesDistinguishedName(certificate.subjectDer, certificate.subject)).toBe(true)
  })

  it('compares types by what they are, and values character by character', () => {
    const { certificate } = certificateOf('/C=DE/O=Example/CN=orders')
    const matches = (text: string) => matchesDistinguishedName(certificate.subjectDer, text)
    expect(
      ['cn=orders,o=Example,c=DE', '2.5.4.3=orders, O = Example, C=DE', 'CN=order\\73,O=Example,C=DE'].map(matches),
    ).toEqual(Array(3).fill(true))
    const others = ['CN=Orders,O=Example,C=DE', 'CN=orders', 'CN=orders,O=Example', 'C=DE,O=Example,CN=orders']
    others.push(
      'CN=orders,O=Example,C=DE,DC=x',
      'CN=orders+O=Example,C=DE',
      'OU=orders,O=Example,C=DE',
      'CN=orders ,O=Exampl,C=DE',
    )
    expect(others.filter(matches)).toEqual([])
  })

  it('is not fooled by a value that looks like two parts', () => {
    const { certificate } = certificateOf('/CN=orders,O=Example')
    expect(matchesDistinguishedName(certificate.subjectDer, 'CN=orders,O=Example')).toBe(false)
    expect(matchesDistinguishedName(certificate.subjectDer, 'CN=orders\\,O=Example')).toBe(true)
  })

  it.each([
    '',
    ' ',
    'orders',
    '=orders',
    'CN=a,',
    'XX=a',
    'CN=a\\',
    'CN=a\\q',
    'CN="a"',
    'CN=#zz',
    'CN=\\ff',
    'CN=a;O=b',
    `CN=${'a'.repeat(5000)}`,
  ])('refuses %.20j', (text) => {
    expect(() => checkDistinguishedName(text)).toThrow(expect.objectContaining({ code: 'invalid_configuration' }))
  })
})
