import { describe, expect, it } from 'vitest'
import { contextTag, tags } from '../der/der-reader.ts'
import { boolean, element, sequence } from '../der/write-der.ts'
import { codeOf, messageOf } from '../refusal.fixture.ts'
import { parseCertificate } from './certificate.ts'
import { extensionIds } from './extensions.ts'
import { extension, type Forged, forge, forgeCa, forgeDer, forgeLeaf, leafExtensions, now } from './forged.fixture.ts'
import { openssl } from './openssl.fixture.ts'
import { parsePemCertificates } from './pem.ts'
import { verifyCertificateChain } from './verify-chain.ts'
import { basicConstraints, extendedKeyUsage, keyUsage } from './write-extensions.ts'

const root = forgeCa('Root')
const intermediate = forgeCa('Intermediate', { issuer: root })
const leaf = forgeLeaf(root)
const deepLeaf = forgeLeaf(intermediate)

const of = (...forged: Forged[]) => forged.map(({ certificate }) => certificate)
const verdict = (chain: Forged[], anchors: Forged[] = [root], at = now) =>
  messageOf(() => verifyCertificateChain(of(...chain), of(...anchors), at))

describe('verifyCertificateChain accepts', () => {
  it('a leaf of an anchor, and one below an intermediate', () => {
    expect(verdict([leaf])).toBe('accepted')
    expect(verdict([deepLeaf, intermediate])).toBe('accepted')
  })

  it('an intermediate as anchor, without its root', () => {
    expect(verdict([deepLeaf], [intermediate])).toBe('accepted')
  })

  it('a chain that ends with the root itself, has strangers in it, or is out of order', () => {
    const second = forgeCa('Second', { issuer: intermediate })
    const bottom = forgeLeaf(second)
    expect(verdict([bottom, second, intermediate, root])).toBe('accepted')
    expect(verdict([bottom, leaf, intermediate, second])).toBe('accepted')
    expect(verdict([bottom, second, second, intermediate])).toBe('accepted')
  })

  it('the right one of several anchors with the same name, and of several paths the one that holds', () => {
    const namesake = forgeCa('Root')
    expect(verdict([leaf], [namesake, root])).toBe('accepted')
    const expiredTwin = forgeCa('Intermediate', { issuer: root, key: intermediate.key, notAfter: now - 1 })
    expect(verdict([deepLeaf, expiredTwin, intermediate])).toBe('accepted')
  })

  it('and gives the path that it found', () => {
    const path = verifyCertificateChain(of(deepLeaf, leaf, intermediate), of(forgeCa('Root'), root), now)
    expect(path).toEqual(of(deepLeaf, intermediate, root))
  })

  it('a chain again without computing its signatures again', () => {
    let computed = 0
    const watched = {
      ...leaf.certificate,
      get signed() {
        computed += 1
        return leaf.certificate.signed
      },
    }
    for (let turn = 0; turn < 3; turn++) verifyCertificateChain([watched], of(root), now)
    expect(computed).toBe(1)
  })

  it('the first and the last second of the validity', () => {
    expect(verdict([leaf], [root], leaf.certificate.notBefore)).toBe('accepted')
    expect(verdict([leaf], [root], leaf.certificate.notAfter + 0.9)).toBe('accepted')
  })
})

describe('verifyCertificateChain refuses', () => {
  it('what it accepted before, once it has expired, has another use, or its anchor is gone', () => {
    const chain = [forgeLeaf(intermediate), intermediate]
    expect(verdict(chain)).toBe('accepted')
    expect(verdict(chain, [root], leaf.certificate.notAfter + 1)).toMatch('expired')
    expect(verdict(chain, [forgeCa('Root')])).toMatch('no trusted CA has signed')
    const forServers = forge({ issuer: root, name: 'servers', extensions: [extendedKeyUsage(['server'])] })
    expect(verdict([forServers])).toBe('accepted')
    expect(messageOf(() => verifyCertificateChain(of(forServers), of(root), now, { purpose: 'client' }))).toMatch(
      'TLS client',
    )
  })

  it('nothing, and no anchors', () => {
    expect(verdict([])).toMatch('there is no certificate')
    expect(verdict([leaf], [])).toMatch('no trusted CA has signed')
  })

  it('a leaf of another CA, also of one with the same name', () => {
    expect(verdict([leaf], [forgeCa('Other')])).toMatch('no trusted CA has signed')
    expect(verdict([leaf], [forgeCa('Root')])).toMatch('no trusted CA has signed')
  })

  it('a leaf that names another issuer than the one whose key has signed it', () => {
    expect(verdict([leaf], [forgeCa('Other', { key: root.key })])).toMatch('no trusted CA has signed')
  })

  it('a leaf that names another key of its issuer', () => {
    const keyId = (text: string) => extension(extensionIds.subjectKeyId, element(tags.octetString, Buffer.from(text)))
    const authority = sequence(element(contextTag(0, 'primitive'), Buffer.from('one')))
    const extensions = [...leafExtensions('spiffe://example.org/a'), extension(extensionIds.authorityKeyId, authority)]
    const named = forgeLeaf(root, undefined, { extensions })
    expect(verdict([named], [forgeCa('Root', { key: root.key, extensions: [keyId('one')] })])).toBe('accepted')
    expect(verdict([named], [forgeCa('Root', { key: root.key, extensions: [keyId('two')] })])).toMatch('no trusted CA')
  })

  it('a chain whose root came along but is not trusted', () => {
    const stranger = forgeCa('Stranger')
    expect(verdict([forgeLeaf(stranger), stranger])).toMatch('no trusted CA has signed')
  })

  it('a chain without its intermediate', () => {
    expect(verdict([deepLeaf])).toMatch('no trusted CA has signed')
  })

  it.each([
    ['expired', { notAfter: now - 1 }],
    ['not yet valid', { notBefore: now + 1 }],
  ])('a leaf, an intermediate or a root that is %s', (_what, times) => {
    const code = (chain: Forged[], anchors: Forged[]) =>
      codeOf(() => verifyCertificateChain(of(...chain), of(...anchors), now))
    expect(code([forgeLeaf(root, undefined, times)], [root])).toBe('expired_svid')
    const badIntermediate = forgeCa('Intermediate', { issuer: root, ...times })
    expect(code([forgeLeaf(badIntermediate), badIntermediate], [root])).toBe('expired_svid')
    const badRoot = forgeCa('Bad', times)
    expect(code([forgeLeaf(badRoot)], [badRoot])).toBe('expired_svid')
  })

  it('the second after the end', () => {
    expect(verdict([leaf], [root], leaf.certificate.notAfter + 1)).toMatch('expired 1 seconds ago')
  })

  it('a CA in place of the leaf', () => {
    expect(verdict([intermediate])).toMatch('that of a CA, which never authenticates')
    expect(verdict([root])).toMatch('that of a CA, which never authenticates')
  })

  it('a leaf in place of a CA', () => {
    const below = forgeLeaf(leaf)
    expect(verdict([below, leaf])).toMatch('is not a CA')
    const named = forge({ name: 'Leaf', issuer: root, extensions: leafExtensions('spiffe://example.org/a') })
    expect(verdict([forgeLeaf(named), named])).toMatch('"spiffe://example.org/a" has signed it, and is not a CA')
    expect(verdict([forgeLeaf(named)], [named])).toMatch('is not a CA')
  })

  it('a CA without basic constraints, also one that may sign by its key usage', () => {
    const flagless = forge({ name: 'Flagless', issuer: root, extensions: [keyUsage('keyCertSign')] })
    expect(verdict([forgeLeaf(flagless), flagless])).toMatch('is not a CA')
    const version1 = {
      certificate: parseCertificate(forgeDer({ name: 'v1', key: root.key }, (p) => p.slice(1))),
      key: root.key,
    }
    expect(verdict([forgeLeaf(version1)], [version1])).toMatch('is not a CA')
  })

  it('a CA whose key usage does not let it sign certificates', () => {
    const mute = forge({
      name: 'Mute',
      issuer: root,
      extensions: [basicConstraints(true), keyUsage('digitalSignature')],
    })
    expect(verdict([forgeLeaf(mute), mute])).toMatch('its key usage has no keyCertSign')
  })

  it('more CAs than a path length allows', () => {
    const limited = forgeCa('Limited', { pathLength: 0 })
    const below = forgeCa('Below', { issuer: limited })
    expect(verdict([forgeLeaf(limited)], [limited])).toBe('accepted')
    expect(verdict([forgeLeaf(below), below], [limited])).toMatch('allows 0 CAs below it, and there are 1')
    const one = forgeCa('One', { pathLength: 1 })
    const first = forgeCa('First', { issuer: one })
    const second = forgeCa('Second', { issuer: first })
    expect(verdict([forgeLeaf(first), first], [one])).toBe('accepted')
    expect(verdict([forgeLeaf(second), second, first], [one])).toMatch('allows 1 CAs below it, and there are 2')
  })

  it('a critical extension that it does not know, in the leaf or in a CA', () => {
    const unknown = extension('1.2.3.4', sequence(), true)
    const odd = forgeLeaf(root, undefined, { extensions: [...leafExtensions('spiffe://example.org/a'), unknown] })
    expect(verdict([odd])).toMatch('critical extension 1.2.3.4')
    const oddCa = forgeCa('Odd', { extensions: [unknown] })
    expect(verdict([forgeLeaf(oddCa)], [oddCa])).toMatch('critical extension 1.2.3.4')
    const policy = extension('2.5.29.36', sequence(), true)
    expect(verdict([forgeLeaf(forgeCa('P'))], [forgeCa('P', { extensions: [policy] })])).not.toBe('accepted')
  })

  it('more than ten certificates, before looking at any signature', () => {
    expect(verdict([leaf, ...Array(10).fill(intermediate)])).toMatch('more than 10')
  })

  it('a maze of look-alike CAs, after a bounded number of signatures', () => {
    const key = root.key
    const mazes = Array.from({ length: 9 }, () => forgeCa('Maze', { key, issuer: { ...forgeCa('Maze', { key }) } }))
    const inMaze = forgeLeaf(mazes[0]!)
    const before = process.cpuUsage()
    expect(
      verdict(
        [inMaze, ...mazes],
        Array.from({ length: 30 }, () => forgeCa('Maze')),
      ),
    ).toMatch('no trusted CA')
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(2000)
  })

  it('a maze without checking one signature with a key that nobody trusts, slow as its sender may have chosen it', () => {
    const { key } = forgeCa('Maze')
    const named = forgeCa('Maze', { key, issuer: { certificate: root.certificate, key } })
    const mazes = [named, ...Array.from({ length: 8 }, () => forgeCa('Maze', { key, issuer: named }))]
    let asked = 0
    const watched = mazes.map(({ certificate }) => ({
      ...certificate,
      get publicKey() {
        asked += 1
        return certificate.publicKey
      },
    }))
    const chain = [forgeLeaf(named).certificate, ...watched]
    expect(codeOf(() => verifyCertificateChain(chain, of(root), now))).toBe('untrusted_svid')
    expect(asked).toBe(0)
    expect(codeOf(() => verifyCertificateChain(chain, of(named), now))).toBe('accepted')
  })

  it('a chain of which any bit was changed', () => {
    const chain = [deepLeaf, intermediate].map(({ certificate }) => certificate)
    for (const [index, { der }] of chain.entries()) {
      for (let at = 0; at < der.length; at += 1) {
        const changed = Buffer.from(der)
        changed[at]! ^= 1 << (at % 8)
        const attempt = () => {
          verifyCertificateChain(chain.with(index, parseCertificate(changed)), of(root), now)
        }
        expect(['invalid_certificate', 'untrusted_svid', 'expired_svid']).toContain(codeOf(attempt))
      }
    }
  })

  it('a signature by SHA-1', () => {
    const shell = openssl()
    shell.run('req -x509 -newkey rsa:2048 -nodes -keyout k -out c -days 9 -subj /CN=Root')
    const [anchor] = parsePemCertificates(shell.read('c').toString())
    for (const [hash, expected] of [
      ['-sha256', 'accepted'],
      ['-sha1', 'untrusted_svid'],
    ]) {
      shell.run('req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout l -out r -subj /CN=l')
      shell.run(`x509 -req -in r -CA c -CAkey k -CAcreateserial -out l.pem ${hash}`)
      const chain = parsePemCertificates(shell.read('l.pem').toString())
      expect(codeOf(() => verifyCertificateChain(chain, [anchor!], Date.now() / 1000))).toBe(expected)
    }
  })
})

describe('the purpose', () => {
  const serverOnly = forge({ issuer: root, name: 's', extensions: [extendedKeyUsage(['server'])] })

  it('must be among those of the leaf, where it limits them', () => {
    const use = (forged: Forged, purpose: 'server' | 'client') =>
      codeOf(() => verifyCertificateChain(of(forged), of(root), now, { purpose }))
    expect([use(serverOnly, 'server'), use(serverOnly, 'client')]).toEqual(['accepted', 'untrusted_svid'])
    expect(use(forge({ issuer: root, name: 'n' }), 'client')).toBe('accepted')
    const any = extension(extensionIds.extendedKeyUsage, sequence(Buffer.from('0604551d2500', 'hex')))
    expect(use(forge({ issuer: root, name: 'a', extensions: [any] }), 'client')).toBe('accepted')
  })

  it('is nobody’s matter unless it is asked for', () => {
    expect(verdict([serverOnly])).toBe('accepted')
  })
})

describe('what is understood of extensions', () => {
  it('certificate policies may be critical', () => {
    const policies = extension(extensionIds.certificatePolicies, sequence(), true)
    expect(verdict([forgeLeaf(root, undefined, { extensions: [...leafExtensions('a:b'), policies] })])).toBe('accepted')
  })

  it('a key identifier leads to the issuer that has it', () => {
    const shell = openssl()
    shell.run('req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -out c -subj /CN=R')
    shell.run('req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout l -out r -subj /CN=l')
    shell.write('e', 'authorityKeyIdentifier=keyid:always,issuer:always\nsubjectKeyIdentifier=hash')
    shell.run('x509 -req -in r -CA c -CAkey k -CAcreateserial -out l.pem -extfile e')
    const [anchor] = parsePemCertificates(shell.read('c').toString())
    const chain = parsePemCertificates(shell.read('l.pem').toString())
    expect(chain[0]!.authorityKeyId).toBe(anchor!.subjectKeyId)
    expect(codeOf(() => verifyCertificateChain(chain, [anchor!], Date.now() / 1000))).toBe('accepted')
  })

  it('a flag of another type is none', () => {
    expect(codeOf(() => forge({ extensions: [extension(extensionIds.basicConstraints, boolean(true))] }))).toBe(
      'invalid_certificate',
    )
  })
})
