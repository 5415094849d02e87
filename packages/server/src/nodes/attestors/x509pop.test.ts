import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  answering,
  leafExtensions,
  type MadeCertificate,
  makeCa,
  makeCertificate,
  presented,
} from './x509pop.fixture.ts'
import { x509popAttestor } from './x509pop.ts'

const day = 86_400
/** Certificates that a test makes later are valid by then. */
const now = Math.floor(Date.now() / 1000) + 3600
const root = makeCa({ subject: '/CN=Root' })
const intermediate = makeCa({ subject: '/CN=Intermediate', issuer: root })
const leaf = makeCertificate({ subject: '/C=US/CN=node-1', issuer: root })
const deepLeaf = makeCertificate({ subject: '/CN=node-2', issuer: intermediate })
const stranger = makeCa({ subject: '/CN=Stranger' })

const sha1 = ({ certificate }: MadeCertificate) => createHash('sha1').update(certificate.der).digest('hex')
/** Of no matter here. */
const agentKey = Buffer.alloc(0)
const attestor = (authorities = [root], at = now) =>
  x509popAttestor({
    trustDomain: 'example.org',
    authorities: () => authorities.map(({ certificate }) => certificate),
    now: () => at,
  })
const attest = (chain: MadeCertificate[], authorities = [root], at = now) =>
  attestor(authorities, at).attest(presented(...chain), answering((chain[0] as MadeCertificate).key), agentKey)
const code = (expected: string) => expect.objectContaining({ name: 'AttestationError', code: expected })

describe('x509pop lets a node join', () => {
  it('with a certificate of a configured CA, named by its fingerprint', async () => {
    expect(await attest([leaf])).toEqual({
      id: `spiffe://example.org/spire/agent/x509pop/${sha1(leaf)}`,
      selectors: [
        { type: 'x509pop', value: 'subject:cn:node-1' },
        { type: 'x509pop', value: `ca:fingerprint:${sha1(root)}` },
        { type: 'x509pop', value: `serialnumber:${leaf.certificate.serialNumber}` },
      ],
      reattestable: true,
    })
  })

  it('with a chain through an intermediate, which becomes a selector too', async () => {
    const { selectors } = await attest([deepLeaf, intermediate])
    const values = selectors.map(({ value }) => value)
    expect(values).toContain(`ca:fingerprint:${sha1(intermediate)}`)
    expect(values).toContain(`ca:fingerprint:${sha1(root)}`)
  })

  it.each(['ec:P-384', 'ec:P-521', 'rsa:2048', 'rsa:3072'])('with a key of %s', async (algorithm) => {
    const made = makeCertificate({ subject: '/CN=node', issuer: root, algorithm })
    expect((await attest([made])).id).toContain(sha1(made))
  })

  it('with its common name, and no other part of its subject in the place of it', async () => {
    const cn = async (subject: string) => {
      const { selectors } = await attest([makeCertificate({ subject, issuer: root })])
      return selectors.map(({ value }) => value).filter((value) => value.startsWith('subject:'))
    }
    expect(await cn('/CN=node-1/O=node-2/serialNumber=node-3')).toEqual(['subject:cn:node-1'])
    expect(await cn('/O=node-1')).toEqual([])
  })

  it('with names for nodes as selectors, of this trust domain only', async () => {
    const san = [
      'URI:x509pop://example.org/datacenter/us-east-1',
      'URI:x509pop://example.org/rack/a/b',
      'URI:x509pop://other.example/datacenter/evil',
      'URI:x509pop://example.org/nothing',
      'URI:spiffe://example.org/web',
    ].join(',')
    const made = makeCertificate({
      subject: '/CN=node',
      issuer: root,
      extensions: [...leafExtensions, `subjectAltName=${san}`],
    })
    const values = (await attest([made])).selectors.map(({ value }) => value)
    expect(values.filter((value) => value.startsWith('san:'))).toEqual(['san:datacenter:us-east-1', 'san:rack:a/b'])
  })

  it('whatever its certificate is otherwise for', async () => {
    const extensions = [...leafExtensions, 'extendedKeyUsage=codeSigning']
    await expect(attest([makeCertificate({ subject: '/CN=node', issuer: root, extensions })])).resolves.toBeDefined()
  })
})

describe('x509pop makes no selector', () => {
  it('of a CA that was sent along and has signed nothing here', async () => {
    const { selectors } = await attest([leaf, stranger, intermediate])
    const fingerprints = selectors.map(({ value }) => value).filter((value) => value.startsWith('ca:'))
    expect(fingerprints).toEqual([`ca:fingerprint:${sha1(root)}`])
  })

  it('of a configured CA that has signed nothing here', async () => {
    const { selectors } = await attest([leaf], [stranger, root])
    expect(selectors.map(({ value }) => value)).not.toContain(`ca:fingerprint:${sha1(stranger)}`)
  })
})

describe('x509pop refuses', () => {
  const denied: [string, string, () => Promise<unknown>][] = [
    [
      'a certificate of another CA',
      'no trusted CA has signed',
      () => attest([makeCertificate({ subject: '/CN=node-1', issuer: stranger })]),
    ],
    [
      'a certificate of a CA that only has the right name',
      'no trusted CA has signed',
      () => attest([makeCertificate({ subject: '/CN=node-1', issuer: makeCa({ subject: '/CN=Root' }) })]),
    ],
    [
      'a certificate that signed itself',
      'no trusted CA has signed',
      () => attest([makeCertificate({ subject: '/CN=node-1' })]),
    ],
    ['a chain whose middle is missing', 'no trusted CA has signed', () => attest([deepLeaf])],
    ['a certificate that has expired', 'expired', () => attest([leaf], [root], now + 31 * day)],
    ['a certificate that is not yet valid', 'valid only in', () => attest([leaf], [root], now - day)],
    ['the certificate of a CA as that of a node', 'that of a CA', () => attest([intermediate])],
    ['the configured CA itself', 'that of a CA', () => attest([root])],
    [
      'a certificate that another node signed',
      'is not a CA',
      () => attest([makeCertificate({ subject: '/CN=node-3', issuer: leaf }), leaf]),
    ],
    [
      'a certificate under a CA that may have none below it',
      'allows 0 CAs below',
      () => {
        const narrow = makeCa({
          subject: '/CN=Narrow',
          issuer: root,
          extensions: ['basicConstraints=critical,CA:true,pathlen:0', 'keyUsage=critical,keyCertSign'],
        })
        const below = makeCa({ subject: '/CN=Below', issuer: narrow })
        return attest([makeCertificate({ subject: '/CN=node', issuer: below }), below, narrow])
      },
    ],
    [
      'a certificate with a critical extension that is not known',
      'critical extension',
      () => {
        const extensions = [...leafExtensions, '1.2.3.4.5=critical,ASN1:UTF8String:unknown']
        return attest([makeCertificate({ subject: '/CN=node', issuer: root, extensions })])
      },
    ],
    [
      'a certificate that is not for signatures',
      'no digitalSignature',
      () => {
        const extensions = ['basicConstraints=critical,CA:false', 'keyUsage=critical,keyAgreement']
        return attest([makeCertificate({ subject: '/CN=node', issuer: root, extensions })])
      },
    ],
    [
      'a certificate that does not say what it is for',
      'no digitalSignature',
      () => attest([makeCertificate({ subject: '/CN=node', issuer: root, extensions: leafExtensions.slice(0, 1) })]),
    ],
    [
      'a key that there is no question for',
      'must be RSA or EC',
      () => attest([makeCertificate({ subject: '/CN=node', issuer: root, algorithm: 'ed25519' })]),
    ],
  ]
  it.each(denied)('%s', async (_what, reason, attesting) => {
    await expect(attesting()).rejects.toMatchObject({ code: 'denied', message: expect.stringContaining(reason) })
  })

  it('a certificate under a CA that has expired, even if it lives on itself', async () => {
    const short = makeCa({ subject: '/CN=Short', days: 1 })
    const long = makeCertificate({ subject: '/CN=node', issuer: short, days: 30 })
    await expect(attest([long], [short], now)).resolves.toBeDefined()
    await expect(attest([long], [short], now + 2 * day)).rejects.toEqual(code('denied'))
    const mid = makeCa({ subject: '/CN=Mid', issuer: root, days: 1 })
    const below = makeCertificate({ subject: '/CN=node', issuer: mid, days: 30 })
    await expect(attest([below, mid], [root], now + 2 * day)).rejects.toEqual(code('denied'))
  })

  it.each([
    ['nothing', ''],
    ['no JSON', 'x509pop'],
    ['a list', '[]'],
    ['no certificate', '{"certificates":[]}'],
    ['what is no base64', '{"certificates":["%%%"]}'],
    ['base64 that stands for the same in another way', `{"certificates":["${'A'.repeat(7)}="]}`],
    ['what is no certificate', '{"certificates":["AAAA"]}'],
    ['eleven certificates', JSON.stringify({ certificates: Array(11).fill(leaf.certificate.der.toString('base64')) })],
    ['a certificate of a megabyte', JSON.stringify({ certificates: [Buffer.alloc(1_000_000).toString('base64')] })],
    ['JSON of ten megabytes', `{"certificates":["${'A'.repeat(10_000_000)}"]}`],
    ['a member twice', '{"certificates":[],"certificates":["AAAA"]}'],
    ['JSON a thousand deep', `${'['.repeat(1000)}${']'.repeat(1000)}`],
  ])('%s, and asks nothing', async (_what, payload) => {
    let asked = 0
    const ask = async () => {
      asked += 1
      return Buffer.alloc(0)
    }
    const attesting = attestor().attest(Buffer.from(payload), ask, agentKey)
    await expect(attesting).rejects.toEqual(code('invalid'))
    expect(asked).toBe(0)
  })
})

const rsaLeaf = makeCertificate({ subject: '/CN=rsa', issuer: root, algorithm: 'rsa:2048' })
const other = makeCertificate({ subject: '/CN=other', issuer: root })
const zero = Buffer.alloc(32).toString('base64')

describe('x509pop takes for no proof', () => {
  const answers: [string, MadeCertificate, ReturnType<typeof answering>, string][] = [
    ['the signature of another key', leaf, answering(other.key), 'denied'],
    [
      'the signature of another RSA key',
      rsaLeaf,
      answering(makeCertificate({ subject: '/CN=r', algorithm: 'rsa:2048' }).key),
      'denied',
    ],
    ['a signature over another nonce', leaf, answering(leaf.key, changed('nonce', zero)), 'denied'],
    ['r and s of zero', leaf, answering(leaf.key, (answer) => both(answer, '', '')), 'denied'],
    ['r and s of many zeros', leaf, answering(leaf.key, (answer) => both(answer, zero, zero)), 'denied'],
    ['r and s of one', leaf, answering(leaf.key, (answer) => both(answer, 'AQ==', 'AQ==')), 'denied'],
    [
      'an r longer than the curve',
      leaf,
      answering(leaf.key, changed('r', Buffer.alloc(33, 1).toString('base64'))),
      'denied',
    ],
    [
      'an r longer than any curve',
      leaf,
      answering(leaf.key, changed('r', Buffer.alloc(67, 1).toString('base64'))),
      'invalid',
    ],
    [
      'a nonce of 31 bytes',
      leaf,
      answering(leaf.key, changed('nonce', Buffer.alloc(31).toString('base64'))),
      'invalid',
    ],
    [
      'a nonce of 33 bytes',
      leaf,
      answering(leaf.key, changed('nonce', Buffer.alloc(33).toString('base64'))),
      'invalid',
    ],
    ['the answer to the other question', leaf, answering(leaf.key, swapped), 'invalid'],
    ['the answer to the other question, of RSA', rsaLeaf, answering(rsaLeaf.key, swapped), 'invalid'],
    ['an RSA signature cut short', rsaLeaf, answering(rsaLeaf.key, changed('signature', 'AAAA')), 'denied'],
    ['no answer', leaf, answering(leaf.key, () => ({})), 'invalid'],
    ['the challenge itself', leaf, async (challenge: Buffer) => challenge, 'invalid'],
    ['what is no JSON', leaf, async () => Buffer.from([0xff]), 'invalid'],
  ]
  it.each(answers)('%s', async (_what, certificate, answer, expected) => {
    await expect(attestor().attest(presented(certificate), answer, agentKey)).rejects.toEqual(code(expected))
  })

  it('an answer that was right before', async () => {
    let kept: Buffer = Buffer.alloc(0)
    const keep = async (challenge: Buffer) => {
      kept = await answering(leaf.key)(challenge)
      return kept
    }
    await attestor().attest(presented(leaf), keep, agentKey)
    await expect(attestor().attest(presented(leaf), async () => kept, agentKey)).rejects.toEqual(code('denied'))
  })

  it('an answer by PKCS #1 v1.5 where PSS is asked for', async () => {
    const { sign } = await import('node:crypto')
    const old = async (challenge: Buffer) => {
      const asked = JSON.parse(challenge.toString())
      const nonce = Buffer.alloc(32, 7)
      const message = Buffer.concat([Buffer.from(asked.rsa_signature.nonce, 'base64'), nonce])
      const signature = sign('sha256', message, rsaLeaf.key).toString('base64')
      return Buffer.from(JSON.stringify({ rsa_signature: { nonce: nonce.toString('base64'), signature } }))
    }
    await expect(attestor().attest(presented(rsaLeaf), old, agentKey)).rejects.toEqual(code('denied'))
  })
})

type Change = NonNullable<Parameters<typeof answering>[1]>

function changed(member: string, value: string): Change {
  return ({ rsa_signature, ecdsa_signature }) => ({
    rsa_signature: rsa_signature && { ...rsa_signature, [member]: value },
    ecdsa_signature: ecdsa_signature && { ...ecdsa_signature, [member]: value },
  })
}

function both(answer: Parameters<Change>[0], r: string, s: string) {
  return { ...answer, ecdsa_signature: { ...answer.ecdsa_signature, r, s } }
}

function swapped({ rsa_signature, ecdsa_signature }: Parameters<Change>[0]) {
  return {
    rsa_signature: ecdsa_signature && { nonce: ecdsa_signature.nonce, signature: ecdsa_signature.r },
    ecdsa_signature: rsa_signature && { nonce: rsa_signature.nonce, r: 'AQ==', s: 'AQ==' },
  }
}
