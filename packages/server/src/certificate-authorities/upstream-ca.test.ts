import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  formatPemCertificates,
  newSerialNumber,
  parseCertificate,
  parsePemCertificates,
  spiffeId,
  toPem,
  verifyX509Svid,
} from '@countersign/spiffe'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { describeStores } from '../storage/stores.fixture.ts'
import { type AuthoritiesUnderTest, day, openAuthorities, start } from './authorities.fixture.ts'
import { revokeAuthority, rotateAuthority, taintAuthority } from './lifecycle.ts'
import { signX509Svid } from './sign-x509-svid.ts'
import { tendAuthorities } from './tend-authorities.ts'
import { readUpstreamCa } from './upstream-ca.ts'

const publicKeyDer = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
  format: 'der',
  type: 'spki',
})
let folder: string
const at = (name: string) => join(folder, name)
const openssl = (words: string) => execFileSync('openssl', words.split(' '), { cwd: folder, stdio: 'pipe' })

/** CAs as operators make them: by openssl, the root of RSA, valid for ten years around the tests' clock. */
function makeCas(): void {
  const caExtensions =
    'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n'
  writeFileSync(at('ca.cnf'), caExtensions)
  writeFileSync(at('issuing.cnf'), caExtensions.replace('CA:TRUE', 'CA:TRUE,pathlen:0'))
  writeFileSync(at('elsewhere.cnf'), `${caExtensions}nameConstraints=critical,permitted;URI:elsewhere.org\n`)
  writeFileSync(at('mute.cnf'), 'basicConstraints=critical,CA:TRUE\n')
  writeFileSync(at('leaf.cnf'), 'basicConstraints=critical,CA:FALSE\n')
  const years = '-days 3650 -sha256'
  openssl(`req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.crt -subj /O=Example/CN=Root ${years}`)
  const under = (name: string, issuer: string, extensions: string) => {
    openssl(
      `req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ${name}.key -out ${name}.csr -subj /CN=${name}`,
    )
    openssl(
      `x509 -req -in ${name}.csr -CA ${issuer}.crt -CAkey ${issuer}.key -out ${name}.crt -extfile ${extensions} ${years}`,
    )
  }
  under('intermediate', 'root', 'ca.cnf')
  under('issuing', 'root', 'issuing.cnf')
  under('elsewhere', 'root', 'elsewhere.cnf')
  under('deep', 'intermediate', 'ca.cnf')
  under('leaf', 'root', 'leaf.cnf')
  under('mute', 'root', 'mute.cnf')
  openssl(`req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.crt -subj /CN=Other ${years}`)
  writeFileSync(
    at('deep-chain.crt'),
    readFileSync(at('deep.crt'), 'utf8') + readFileSync(at('intermediate.crt'), 'utf8'),
  )
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-upstream-'))
  makeCas()
})
afterAll(() => rmSync(folder, { recursive: true }))

const files = (name: string, options: { cert?: string; key?: string; bundle?: string } = {}) => ({
  certFile: at(options.cert ?? `${name}.crt`),
  keyFile: at(options.key ?? `${name}.key`),
  bundleFile: options.bundle === undefined ? undefined : at(options.bundle),
})

describeStores('a CA under an upstream one', (kind) => {
  let under: AuthoritiesUnderTest
  afterEach(() => under.close())

  const sign = () =>
    signX509Svid(under.one.authorities, {
      id: spiffeId('example.org', '/web'),
      publicKeyDer,
      ttlSeconds: 3600,
      serialNumber: newSerialNumber(),
      now: under.clock.now,
    })

  it.each([
    ['directly under its root', () => files('root'), 2],
    ['under an intermediate', () => files('intermediate', { bundle: 'root.crt' }), 3],
    ['two below the root', () => files('deep', { cert: 'deep-chain.crt', bundle: 'root.crt' }), 4],
  ])('%s: the root is in the bundle, all between is sent, and openssl agrees', async (_where, upstream, length) => {
    under = await openAuthorities(kind, { upstream: upstream() })
    const bundle = under.one.authorities.bundle()
    expect(bundle.x509Authorities.map(({ der }) => toPem(der).trim())).toEqual([
      readFileSync(at('root.crt'), 'utf8').trim(),
    ])
    const { chain } = sign()
    expect(chain).toHaveLength(length)
    const certificates = chain.map(parseCertificate)
    expect(verifyX509Svid(certificates, new Map([['example.org', bundle]]), under.clock.now).path).toBe('/web')
    const [leaf, ...between] = chain as [Buffer, ...Buffer[]]
    writeFileSync(at('svid.crt'), toPem(leaf))
    writeFileSync(at('between.crt'), formatPemCertificates(between))
    const time = `-attime ${under.clock.now}`
    expect(String(openssl(`verify ${time} -CAfile root.crt -untrusted between.crt svid.crt`))).toContain('svid.crt: OK')
  })

  it('is replaced without the bundle changing, as the root stays the same', async () => {
    under = await openAuthorities(kind, { upstream: files('root') })
    const before = under.one.authorities.bundle().sequenceNumber
    const [old] = (await under.ids('x509', 'active')) as [string]
    const svid = sign()
    const next = await rotateAuthority('x509', under.one.context, { force: true })
    await under.one.feed.catchUp()
    expect(under.one.authorities.bundle().sequenceNumber).toBe(before)
    expect(parseCertificate(sign().chain[1] as Buffer).subjectKeyId).toBe(next)
    // The root is not withdrawn with one of its intermediates while another one needs it.
    await taintAuthority(old, under.one.context)
    await under.one.feed.catchUp()
    expect(under.one.authorities.published().x509).toMatchObject([{ tainted: false }])
    await revokeAuthority(old, under.one.context)
    await under.one.feed.catchUp()
    const bundles = new Map([['example.org', under.one.authorities.bundle()]])
    expect(verifyX509Svid(svid.chain.map(parseCertificate), bundles, under.clock.now).path).toBe('/web')
  })

  it('moves under a new root by files alone: both roots are trusted while both are in use', async () => {
    under = await openAuthorities(kind)
    const svid = sign()
    under.one = await under.replica({ upstream: files('root') })
    await under.one.authorities.load()
    const next = await rotateAuthority('x509', under.one.context)
    await under.one.feed.catchUp()
    expect(under.one.authorities.bundle().x509Authorities).toHaveLength(2)
    under.clock.now += 600
    await tendAuthorities(under.one.context)
    await under.one.feed.catchUp()
    expect(under.one.authorities.issuer().certificate.subjectKeyId).toBe(next)
    const bundles = new Map([['example.org', under.one.authorities.bundle()]])
    for (const { chain } of [svid, sign()]) {
      expect(verifyX509Svid(chain.map(parseCertificate), bundles, under.clock.now).path).toBe('/web')
    }
  })

  it('does not outlive it, and says in time that the upstream CA has to be replaced', async () => {
    under = await openAuthorities(kind, { upstream: files('root') })
    const [root] = parsePemCertificates(readFileSync(at('root.crt'), 'utf8'))
    const end = root?.notAfter as number
    under.clock.now = end - 20 * day
    await tendAuthorities(under.one.context)
    await under.one.feed.catchUp()
    expect(under.one.authorities.issuer().certificate.notAfter).toBe(end)
    under.clock.now = end - 10 * day
    await expect(tendAuthorities(under.one.context)).rejects.toThrow(/upstream CA ends at/)
    expect(sign().expiresAt).toBe(under.clock.now + 3600)
    under.clock.now = end
    await expect(tendAuthorities(under.one.context)).rejects.toThrow(/has expired; put its successor there/)
    expect(sign).toThrow(/has expired/)
  })
})

describe('the files of an upstream CA', () => {
  const now = start
  const read = (upstream: ReturnType<typeof files>) => () => readUpstreamCa(upstream, now)

  it.each([
    ['a certificate that is not there', () => files('nothing'), /nothing\.crt cannot be read .*no such file/],
    [
      'a key that is not there',
      () => files('root', { key: 'nothing.key' }),
      /nothing\.key cannot be read .*no such file/,
    ],
    [
      'a key that is a certificate',
      () => files('root', { key: 'root.crt' }),
      /root\.crt cannot be read as an unencrypted/,
    ],
    ['a certificate that is a key', () => files('root', { cert: 'root.key' }), /root\.key/],
    ['a key of another CA', () => files('root', { key: 'other.key' }), /other\.key does not belong to .*root\.crt/],
    ['a certificate of no CA', () => files('leaf', { bundle: 'root.crt' }), /leaf\.crt is not that of a CA/],
    ['an intermediate without its root', () => files('intermediate'), /not a root: name the file of its root/],
  ])('are refused for %s', (_what, upstream, sentence) => {
    expect(read(upstream())).toThrow(sentence)
    expect(read(upstream())).toThrow(expect.objectContaining({ code: 'ca_unavailable' }))
  })

  it.each([
    ['a CA that may have none below it', () => files('issuing', { bundle: 'root.crt' })],
    ['a CA that may not sign for this trust domain', () => files('elsewhere', { bundle: 'root.crt' })],
    ['an intermediate without the key usage of a CA', () => files('mute', { bundle: 'root.crt' })],
    ['a root that is not its root', () => files('intermediate', { bundle: 'other.crt' })],
    ['a chain with a gap', () => files('deep', { bundle: 'root.crt' })],
  ])('are refused at start for %s, before anything depends on it', async (_what, upstream) => {
    await expect(openAuthorities('sqlite', { upstream: upstream() })).rejects.toThrow(
      /nothing under the CA .*would be trusted/,
    )
  })

  it('never show the key in what is said about them', () => {
    const lines = readFileSync(at('root.key'), 'utf8').split('\n')
    try {
      readUpstreamCa(files('root', { cert: 'root.key' }), now)
    } catch (error) {
      for (const line of lines.slice(1, -2)) expect(String((error as Error).message)).not.toContain(line)
    }
    expect.hasAssertions()
  })
})
