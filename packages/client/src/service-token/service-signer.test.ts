import { createPublicKey } from 'node:crypto'
import { mkdir, mkdtemp, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { generateSigningKey, httpBinding, parseJwt, Secret } from '@countersign/tokens'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createClock } from '../fake-server.fixture.ts'
import { createServiceSigner, createSignedFetch, type ServiceSignerOptions } from '../index.ts'
import { newPem, startReceiver, verified } from './receiver.fixture.ts'

/** Milliseconds that a busy machine may take for what comes at once on an idle one. */
const patience = 20_000

const call = {
  audience: 'inventory-service',
  binding: httpBinding({ method: 'GET', target: '/', content: new Uint8Array() }),
}
const kidOf = (token: string) => parseJwt(token).header.kid
let folder: string
let warnings: string[]
const closing: { close(): void }[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-key-'))
  warnings = []
})
afterEach(async () => {
  for (const one of closing.splice(0)) one.close()
  await rm(folder, { recursive: true, force: true })
})

const keyFile = () => join(folder, 'key.pem')

function fromFile(options: Partial<ServiceSignerOptions> = {}) {
  const onWarning = (message: string) => warnings.push(message)
  const signer = createServiceSigner({ name: 'order', secretKeyFile: keyFile(), onWarning, ...options })
  closing.push(signer)
  return signer
}

function problemOf(options: Partial<ServiceSignerOptions>) {
  try {
    createServiceSigner({ name: 'order', ...options })
  } catch (error) {
    return error as Error & { code: string }
  }
  throw new Error('accepted')
}

describe('createServiceSigner', () => {
  it('signs in the full name of the service, with the key that it publishes', async () => {
    for (const name of ['order', 'order-service']) {
      const signer = createServiceSigner({ name, secretKey: await newPem() })
      const { header, claims } = parseJwt(signer.sign({ ...call, tenant: 'a' }))
      expect(claims).toMatchObject({
        iss: 'order-service',
        sender: 'order-service',
        aud: 'inventory-service',
        tenant: 'a',
      })
      expect(signer.jwks().keys).toEqual([
        expect.objectContaining({ kid: header.kid, alg: 'EdDSA', use: 'sig', crv: 'Ed25519' }),
      ])
      expect(signer).toMatchObject({ name: 'order-service', profile: 'm2m' })
    }
  })

  it('takes a key with its line breaks spelled out, quoted, and wrapped', async () => {
    const pem = await newPem()
    const spelled = pem.replaceAll('\n', '\\n')
    const kids = [pem, spelled, `"${spelled}"`, new Secret(pem)].map(
      (secretKey) => createServiceSigner({ name: 'order', secretKey }).jwks().keys[0]!.kid,
    )
    expect(new Set(kids).size).toBe(1)
  })

  it('gives tokens 60 s, md5 tokens 15 min, and both what is asked for', async () => {
    const secretKey = await newPem()
    const lifetimes = (lifetimeSeconds?: number) => {
      const signer = createServiceSigner({ name: 'order', secretKey, lifetimeSeconds })
      return [signer.sign(call), signer.signMd5('0'.repeat(32))].map((token) => {
        const { iat, exp } = parseJwt(token).claims
        return Number(exp) - Number(iat)
      })
    }
    expect(lifetimes()).toEqual([60, 900])
    expect(lifetimes(30)).toEqual([30, 30])
  })

  it.each<[string, Partial<ServiceSignerOptions>, string]>([
    ['no key', {}, 'countersign service keygen'],
    ['an empty key', { secretKey: ' ' }, 'SERVICE_SECRET_KEY'],
    ['a key and a file', { secretKey: 'a', secretKeyFile: 'b' }, 'not both'],
    ['a name that is none', { name: '../etc' }, 'SERVICE_SHORT_NAME'],
    ['no name', { name: undefined as unknown as string }, 'SERVICE_SHORT_NAME'],
    ['upper case', { name: 'Order' }, 'SERVICE_SHORT_NAME'],
    ['no lifetime', { lifetimeSeconds: 0 }, 'from 1 to 900'],
    ['too long a lifetime', { lifetimeSeconds: 901 }, 'M2M_TOKEN_TTL'],
    ['another profile', { profile: 'md4' as 'md5' }, 'm2m or md5'],
    ['a file that is not there', { secretKeyFile: '/nowhere/key.pem' }, '/nowhere/key.pem cannot be read (ENOENT)'],
    ['a folder', { secretKeyFile: '/' }, 'cannot be read (EISDIR)'],
  ])('refuses %s, and says what to do', (_, options, says) => {
    expect(problemOf(options)).toMatchObject({ code: 'invalid_configuration', message: expect.stringContaining(says) })
  })

  it('refuses rubbish and keys of another kind, and quotes nothing of them', async () => {
    const p256 = (await generateSigningKey('ES256')).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    for (const text of ['canary-text', p256, `${p256.slice(0, 60)}canary${p256.slice(60)}`]) {
      await writeFile(keyFile(), text)
      for (const options of [{ secretKey: text }, { secretKeyFile: keyFile() }]) {
        const problem = problemOf(options)
        expect(problem).toMatchObject({ code: 'invalid_configuration' })
        expect(problem.message).toContain('countersign service keygen')
        for (const secret of ['canary', p256.split('\n')[1]!]) {
          expect(inspect(problem, { showHidden: true, depth: 9 })).not.toContain(secret)
        }
      }
    }
  })
})

describe('a key file that is replaced', () => {
  const write = async (text: string) => {
    await writeFile(`${keyFile()}.new`, text)
    await rename(`${keyFile()}.new`, keyFile())
  }

  it('signs with the new key at once, and publishes the old one until its last token has expired', async () => {
    const clock = createClock()
    await write(await newPem())
    const signer = fromFile({ now: clock.now })
    const old = kidOf(signer.sign(call))
    clock.pass(30_000)
    signer.sign(call)
    await write(await newPem())
    await vi.waitFor(() => expect(kidOf(signer.sign(call))).not.toBe(old), patience)
    const young = kidOf(signer.sign(call))
    const published = () => signer.jwks().keys.map(({ kid }) => kid)
    expect(published()).toEqual([young, old])
    clock.pass(69_999)
    expect(published()).toEqual([young, old])
    clock.pass(1)
    expect(published()).toEqual([young])
    expect(warnings).toEqual([])
  })

  it('keeps a key that signed md5 tokens for their longer life, and one that signed nothing not at all', async () => {
    const clock = createClock()
    await write(await newPem())
    const signer = fromFile({ now: clock.now })
    const [first] = signer.jwks().keys
    await write(await newPem())
    await vi.waitFor(() => expect(signer.jwks().keys[0]).not.toEqual(first), patience)
    expect(signer.jwks().keys).toHaveLength(1)
    const md5 = kidOf(signer.signMd5('0'.repeat(32)))
    await write(await newPem())
    await vi.waitFor(() => expect(signer.jwks().keys[0]!.kid).not.toBe(md5), patience)
    clock.pass(909_999)
    expect(signer.jwks().keys[1]!.kid).toBe(md5)
    clock.pass(1)
    expect(signer.jwks().keys).toHaveLength(1)
  })

  it('may come back: the key that signed before is published once', async () => {
    const [first, second] = [await newPem(), await newPem()]
    await write(first)
    const signer = fromFile()
    const kid = kidOf(signer.sign(call))
    await write(second)
    await vi.waitFor(() => expect(kidOf(signer.sign(call))).not.toBe(kid), patience)
    await write(first)
    await vi.waitFor(() => expect(signer.jwks().keys[0]!.kid).toBe(kid), patience)
    expect(signer.jwks().keys.map((key) => key.kid)).toEqual([kid, expect.not.stringContaining(kid!)])
    await write(await newPem())
    await vi.waitFor(() => expect(signer.jwks().keys[0]!.kid).not.toBe(kid), patience)
    expect(signer.jwks().keys.map((key) => key.kid)).toContain(kid)
  })

  it('is noticed where Kubernetes swaps the folder behind it', async () => {
    for (const [name, pem] of [
      ['..1', await newPem()],
      ['..2', await newPem()],
    ] as const) {
      await mkdir(join(folder, name))
      await writeFile(join(folder, name, 'key.pem'), pem)
    }
    await symlink('..1', join(folder, '..data'))
    await symlink('..data/key.pem', keyFile())
    const signer = fromFile()
    const old = kidOf(signer.sign(call))
    await symlink('..2', join(folder, '..data_tmp'))
    await rename(join(folder, '..data_tmp'), join(folder, '..data'))
    await vi.waitFor(() => expect(kidOf(signer.sign(call))).not.toBe(old), patience)
  })

  it('is noticed where it stands behind a link to another folder', async () => {
    await mkdir(join(folder, 'far'))
    await writeFile(join(folder, 'far', 'key.pem'), await newPem())
    await symlink('far/key.pem', keyFile())
    const signer = fromFile()
    const old = kidOf(signer.sign(call))
    await writeFile(join(folder, 'far', 'key.pem'), await newPem())
    await vi.waitFor(() => expect(kidOf(signer.sign(call))).not.toBe(old), patience)
  })

  const rubbish = 'canary-'.repeat(5)
  it.each<[string, () => Promise<unknown>, string]>([
    ['rubbish', () => write(rubbish), 'no private key that can be read'],
    ['nothing', () => writeFile(keyFile(), ''), 'no private key that can be read'],
    ['a broken key', async () => write((await newPem()).replace(/\n(.{20})/, `\n${rubbish}`)), 'can be read'],
    ['half a key', async () => write((await newPem()).slice(0, 80)), 'can be read'],
    ['a key of another kind', async () => write(await pemOf('ES256')), 'services sign with Ed25519'],
    ['an RSA key', async () => write(await pemOf('RS256')), 'services sign with Ed25519'],
    ['its public half', async () => write(publicPem), 'can be read'],
    ['a large file', () => write(rubbish.repeat(10_000)), 'too large'],
    ['no file', () => unlink(keyFile()), '(ENOENT)'],
  ])('with %s changes nothing but a warning, without key material', async (_, spoil, says) => {
    await write(await newPem())
    const signer = fromFile()
    const kid = kidOf(signer.sign(call))
    await spoil()
    await vi.waitFor(() => expect(warnings).toHaveLength(1), patience)
    expect(warnings[0]).toContain(says)
    expect(warnings[0]).toContain('the key that was read before signs on')
    // The folder's name is random, and may spell anything.
    expect(warnings[0]?.replaceAll(folder, '')).not.toMatch(/canary|BEGIN|MC4C|MIG/)
    expect(kidOf(signer.sign(call))).toBe(kid)
    expect(signer.jwks().keys).toHaveLength(1)
    await write(await newPem())
    await vi.waitFor(() => expect(kidOf(signer.sign(call))).not.toBe(kid), patience)
    expect(warnings).toHaveLength(1)
  })

  it('is told once, not with every look', async () => {
    await write(await newPem())
    fromFile()
    await write(rubbish)
    await vi.waitFor(() => expect(warnings).toHaveLength(1), patience)
    for (const name of ['a', 'b', 'c']) await writeFile(join(folder, name), '')
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    expect(warnings).toHaveLength(1)
  })

  it('is waited for where it is written in pieces', async () => {
    await write(await newPem())
    const signer = fromFile()
    const old = kidOf(signer.sign(call))
    const pem = await newPem()
    await writeFile(keyFile(), pem.slice(0, 50))
    await new Promise((resolve) => setTimeout(resolve, 50))
    await writeFile(keyFile(), pem)
    await vi.waitFor(() => expect(kidOf(signer.sign(call))).not.toBe(old), patience)
    expect(warnings).toEqual([])
  })

  it('is no longer watched after close', async () => {
    await write(await newPem())
    const signer = fromFile()
    const old = kidOf(signer.sign(call))
    signer.close()
    await write(await newPem())
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(kidOf(signer.sign(call))).toBe(old)
  })

  it('warns the process where nobody else listens', async () => {
    await write(await newPem())
    fromFile({ onWarning: undefined })
    const heard: (Error & { code?: string })[] = []
    const listen = (warning: Error) => heard.push(warning)
    process.on('warning', listen)
    await write('rubbish')
    await vi.waitFor(() => expect(heard).toMatchObject([{ code: 'COUNTERSIGN_SERVICE_KEY' }]), patience)
    process.off('warning', listen)
  })

  it('loses no call while it is replaced again and again', async () => {
    await using receiver = await startReceiver()
    await write(await newPem())
    const signer = fromFile()
    const kids = new Set<string | undefined>()
    const refused: unknown[] = []
    receiver.answer = (received, response) => {
      try {
        verified(received, signer, receiver.origin)
      } catch (error) {
        refused.push(error)
      }
      kids.add(kidOf(received.token!))
      response.end()
    }
    const signedFetch = createSignedFetch(signer)
    const rotations = 10
    let isRotating = true
    const callers = Array.from({ length: 8 }, async () => {
      while (isRotating) await (await signedFetch(`${receiver.origin}/x`, { method: 'POST', body: '{"n":1}' })).text()
    })
    for (let count = 0; count < rotations; count++) {
      const before = signer.jwks().keys[0]!.kid
      await write(count % 3 === 1 ? rubbish : await newPem())
      if (count % 3 === 1) await write(await newPem())
      await vi.waitFor(() => expect(signer.jwks().keys[0]!.kid).not.toBe(before), patience)
    }
    isRotating = false
    await Promise.all(callers)
    expect(refused).toEqual([])
    expect(kids.size).toBe(rotations + 1)
    expect(receiver.received.length).toBeGreaterThan(50)
  })
})

async function pemOf(algorithm: 'ES256' | 'RS256'): Promise<string> {
  return (await generateSigningKey(algorithm)).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
}

const publicPem = createPublicKey((await generateSigningKey('EdDSA')).privateKey).export({
  type: 'spki',
  format: 'pem',
}) as string
