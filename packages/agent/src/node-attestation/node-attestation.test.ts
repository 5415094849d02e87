import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { toPem } from '@countersign/spiffe'
import { PermissionDeniedDetails_Reason as Reason } from '@countersign/spiffe/protocol/spire-types'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { status } from '@grpc/grpc-js'
import { describe, expect, it } from 'vitest'
import { testAgent, testFolder, testServer, until } from '../agent.fixture.ts'
import { joinToken } from './join-token.ts'
import { k8sPsat } from './k8s-psat.ts'
import { x509pop } from './x509pop.ts'

/** A certificate of a node, and the authority that issued it. */
function nodeFiles(rsa = false) {
  const authority = createTestAuthority('nodes.test')
  const folder = testFolder()
  const files = { certificateFile: join(folder, 'node.pem'), keyFile: join(folder, 'node.key') }
  const write = () => {
    const { certificatePem, keyPem } = rsa ? rsaCertificate(authority) : authority.certificate({ commonName: 'node-1' })
    writeFileSync(files.certificateFile, certificatePem)
    writeFileSync(files.keyFile, keyPem, { mode: 0o600 })
  }
  write()
  return { files, write, ca: toPem(authority.issuer.certificate.der) }
}

describe('x509pop', () => {
  it.each([
    ['an EC key', false],
    ['an RSA key', true],
  ])('attests the node by proving that it has %s', async (_name, rsa) => {
    const server = await testServer()
    const { files, ca } = nodeFiles(rsa)
    server.x509popCa = ca
    const { agent } = testAgent(server, { node: { x509pop: files } })
    await agent.start()
    expect(agent.status().spiffe_id).toMatch(/^spiffe:\/\/example\.test\/spire\/agent\/x509pop\/[0-9a-f]{40}$/)
  })

  it('attests again, with the files as they are then, before its SVID ends', async () => {
    const server = await testServer()
    const { files, ca, write } = nodeFiles()
    server.x509popCa = ca
    server.lifetimes.agent = 3
    const { agent } = testAgent(server, { node: { x509pop: files } })
    await agent.start()
    const first = agent.status().spiffe_id
    write()
    await until(() => server.count('attestAgent') === 2)
    await until(() => agent.status().spiffe_id !== first)
    expect(server.count('renewAgent')).toBe(0)
  })

  it('attests again when the server has forgotten the node', async () => {
    const server = await testServer()
    const { files, ca } = nodeFiles()
    server.x509popCa = ca
    const { agent, logged } = testAgent(server, { node: { x509pop: files }, syncIntervalSeconds: 0.1 })
    await agent.start()
    await agent.ready
    server.failures.set('syncAuthorizedEntries', {
      code: status.PERMISSION_DENIED,
      details: 'gone',
      reason: Reason.AGENT_NOT_ATTESTED,
    })
    await until(() => server.count('attestAgent') === 2)
    server.failures.clear()
    const before = server.count('syncAuthorizedEntries')
    await until(() => server.count('syncAuthorizedEntries') > before + 1)
    expect(logged.some((line) => line.includes('attest itself again'))).toBe(true)
  })

  it('is refused for good with a certificate of another authority', async () => {
    const server = await testServer()
    server.x509popCa = nodeFiles().ca
    const { agent } = testAgent(server, { node: { x509pop: nodeFiles().files } })
    await expect(agent.start()).rejects.toMatchObject({ code: 'attestation_refused' })
  })

  it('signs no text of the server alone: its own nonce goes into it, and the challenge must be one', async () => {
    const { respond } = x509pop(nodeFiles().files)
    const challenge = (nonce: Buffer) =>
      Buffer.from(JSON.stringify({ rsa_signature: null, ecdsa_signature: { nonce: nonce.toString('base64') } }))
    const nonce = randomBytes(32)
    const answers = await Promise.all([respond(challenge(nonce)), respond(challenge(nonce))])
    const [one, two] = answers.map((answer) => JSON.parse(answer.toString()).ecdsa_signature.nonce)
    expect(one).not.toBe(two)
    for (const bad of [
      challenge(randomBytes(31)),
      challenge(randomBytes(64)),
      Buffer.from('{}'),
      Buffer.from('no JSON'),
    ])
      await expect(respond(bad)).rejects.toMatchObject({ code: 'invalid_answer' })
  })

  it('says at the start that its files cannot be used', () => {
    const { files } = nodeFiles()
    writeFileSync(files.keyFile, 'no key')
    expect(() => x509pop(files)).toThrow(/x509pop cannot use/)
    chmodSync(files.keyFile, 0o600)
  })
})

describe('a join token', () => {
  it('is one, not a path or a header', () => {
    for (const token of ['', 'a/b', 'a b', 'a\nb', 'x'.repeat(256)])
      expect(() => joinToken(token)).toThrow(/join token/)
  })

  it('is read from its file when the node attests itself, and not before', async () => {
    const file = join(testFolder(), 'token')
    const attestor = joinToken({ file })
    await expect(attestor.payload()).rejects.toMatchObject({
      code: 'invalid_configuration',
      message: expect.stringMatching(/no stored identity.*node token create/),
    })
    writeFileSync(file, 'a token\n')
    await expect(attestor.payload()).rejects.toThrow(/holds no join token/)
    writeFileSync(file, 'from-a-file\n')
    expect((await attestor.payload()).toString()).toBe('from-a-file')
  })

  it('is not shown in any message or log', async () => {
    const server = await testServer()
    server.failures.set('attestAgent', { code: status.UNAVAILABLE, details: 'away' })
    const { agent, logged } = testAgent(server, { node: { joinToken: 'canary-token' } })
    const started = agent.start()
    await until(() => logged.length > 0)
    server.failures.clear()
    const error = await started.catch((thrown) => thrown)
    expect(`${error.message} ${logged.join()}`).not.toContain('canary-token')
  })
})

describe('k8s_psat', () => {
  it('sends cluster and token, and reads the token anew each time', async () => {
    const tokenFile = join(testFolder(), 'token')
    const attestor = k8sPsat({ cluster: 'production', tokenFile })
    await expect(attestor.payload()).rejects.toMatchObject({ code: 'unavailable' })
    writeFileSync(tokenFile, 'one\n')
    expect(JSON.parse((await attestor.payload()).toString())).toEqual({ cluster: 'production', token: 'one' })
    writeFileSync(tokenFile, 'two')
    expect(JSON.parse((await attestor.payload()).toString())).toEqual({ cluster: 'production', token: 'two' })
  })
})

function rsaCertificate(authority: ReturnType<typeof createTestAuthority>) {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const now = Math.floor(Date.now() / 1000)
  const der = authority.issuer.issue({
    publicKeyDer: publicKey.export({ type: 'spki', format: 'der' }),
    serialNumber: Buffer.from([1, 2, 3]),
    notBefore: now - 10,
    notAfter: now + 3600,
    subject: { commonName: 'node-rsa' },
  })
  return { certificatePem: toPem(der), keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string }
}
