import { execFileSync } from 'node:child_process'
import { createPublicKey } from 'node:crypto'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { generateSigningKey, importPrivatePem, jwkThumbprint } from '@countersign/tokens'
import { createRemoteJWKSet, importPKCS8, jwtVerify, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CliServer, runCli, startCliServer } from './cli.fixture.ts'

let cli: CliServer
beforeAll(async () => {
  cli = await startCliServer()
})
afterAll(() => cli.close())

const file = (name: string) => join(cli.folder, name)
const kidsOf = async (name: string) =>
  (await cli.run(`service get ${name} --json`)).json.jwks.keys.map(({ kid }: { kid: string }) => kid)

/** Makes a pair as its owner would, and keeps the public half in a file. */
async function keygen(name: string): Promise<{ kid: string }> {
  const { code, json } = await cli.run(`service keygen --out ${name}.pem`)
  expect(code).toBe(0)
  await writeFile(file(`${name}.jwk`), JSON.stringify(json))
  return json
}

describe('countersign service keygen', () => {
  it('prints the private key as one line of an environment file, and the public JWK, without a server', async () => {
    const { code, stdout, stderr } = await runCli(['service', 'keygen'])
    expect(code).toBe(0)
    const [line = '', jwk = '', ...rest] = stdout.split('\n')
    expect(rest).toEqual([''])
    const [, pem = ''] = /^SERVICE_SECRET_KEY="(-----BEGIN PRIVATE KEY-----\\n[^"]+\\n)"$/.exec(line) ?? []
    const { publicJwk } = importPrivatePem(pem)
    expect(JSON.parse(jwk)).toEqual({ ...publicJwk, kid: jwkThumbprint(publicJwk), alg: 'EdDSA', use: 'sig' })
    expect(stderr).not.toContain(pem.slice(30, 60))
  })

  it('prints what a shell, and an env file that keeps quotes, give back as the key', async () => {
    const [line = ''] = (await runCli(['service', 'keygen'])).stdout.split('\n')
    const kept = importPrivatePem(line.slice('SERVICE_SECRET_KEY='.length))
    const shell = execFileSync('sh', ['-c', `${line}\nprintf %s "$SERVICE_SECRET_KEY"`], { encoding: 'utf8' })
    expect(importPrivatePem(shell).publicJwk).toEqual(kept.publicJwk)
  })

  it('writes the private key for its owner alone, and prints only the public one', async () => {
    const { stdout, json } = await cli.run('service keygen --out own.pem')
    const pem = await readFile(file('own.pem'), 'utf8')
    expect((await stat(file('own.pem'))).mode & 0o777).toBe(0o600)
    expect(json).toMatchObject({ kty: 'OKP', crv: 'Ed25519', x: importPrivatePem(pem).publicJwk.x })
    expect(json).not.toHaveProperty('d')
    expect(stdout).not.toContain('PRIVATE')
    const again = await cli.run('service keygen --out own.pem')
    expect(again).toMatchObject({ code: 1, stdout: '' })
    expect(await readFile(file('own.pem'), 'utf8')).toBe(pem)
  })

  it('prints JSON for programs', async () => {
    const { json } = await cli.run('service keygen --json')
    expect(importPrivatePem(json.service_secret_key).publicJwk.x).toBe(json.jwk.x)
    const written = await cli.run('service keygen --out json.pem --json')
    expect(written.json).toEqual({ service_secret_key_file: 'json.pem', jwk: expect.objectContaining({ kty: 'OKP' }) })
  })
})

describe('countersign service register', () => {
  it('publishes a key with which another library verifies what the service signed', async () => {
    const { json: jwk } = await cli.run('service keygen --out order.pem')
    const registered = await cli.run('service register order-service --jwk - --json', { stdin: JSON.stringify(jwk) })
    expect(registered).toMatchObject({ code: 0, json: { name: 'order', jwks: { keys: [jwk] } } })
    const key = await importPKCS8(await readFile(file('order.pem'), 'utf8'), 'EdDSA')
    const token = await new SignJWT({ sender: 'order-service' })
      .setProtectedHeader({ typ: 'm2m+jwt', alg: 'EdDSA', kid: jwk.kid })
      .setIssuer('order-service')
      .setExpirationTime('60s')
      .sign(key)
    for (const name of ['order', 'order-service']) {
      const keys = createRemoteJWKSet(new URL(`${cli.server.url}/${name}/.well-known/jwks.json`))
      const { payload } = await jwtVerify(token, keys, {
        typ: 'm2m+jwt',
        algorithms: ['EdDSA'],
        issuer: 'order-service',
      })
      expect(payload.sender).toBe('order-service')
    }
    await keygen('other')
    await cli.run('service register other --jwk other.jwk')
    const others = createRemoteJWKSet(new URL(`${cli.server.url}/other/.well-known/jwks.json`))
    await expect(jwtVerify(token, others)).rejects.toMatchObject({ code: 'ERR_JWKS_NO_MATCHING_KEY' })
  })

  it('rotates without a gap: adds the new key, and takes the old one away later', async () => {
    const old = await keygen('old')
    const young = await keygen('young')
    await cli.run('service register stock --jwk old.jwk')
    expect((await cli.run('service register stock --jwk young.jwk --add')).code).toBe(0)
    expect(await kidsOf('stock')).toEqual([old.kid, young.kid])
    const removed = await cli.run(`service unregister stock --kid ${old.kid} --json`)
    expect(removed.json).toEqual({ name: 'stock', kid: old.kid, removed: true })
    expect(await kidsOf('stock')).toEqual([young.kid])
    await cli.run('service register stock --jwk old.jwk')
    expect(await kidsOf('stock')).toEqual([old.kid])
  })

  it('takes a public key as PEM', async () => {
    const { privateKey, publicJwk } = await generateSigningKey('EdDSA')
    await writeFile(file('public.pem'), createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }))
    expect((await cli.run('service register pem --jwk public.pem --json')).json.jwks.keys).toEqual([publicJwk])
  })

  it('sends no private key anywhere, and no key of another kind', async () => {
    await keygen('mine')
    const { privateKey } = await generateSigningKey('EdDSA')
    const jwk = privateKey.export({ format: 'jwk' })
    await writeFile(file('private.jwk'), JSON.stringify(jwk))
    await writeFile(file('p256.jwk'), JSON.stringify((await generateSigningKey('ES256')).publicJwk))
    for (const [name, why] of [
      ['mine.pem', 'is a private key'],
      ['private.jwk', 'private member "d"'],
      ['p256.jwk', 'is no Ed25519 key; make a pair'],
    ]) {
      const { code, stdout, stderr } = await cli.run(`service register mine --jwk ${name}`)
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
      expect(stderr).toMatch(/^error: [^\n]+\n$/)
      expect(stderr).toContain(why)
      expect(stderr).not.toContain(jwk.d)
    }
    expect((await cli.run('service get mine')).code).toBe(1)
  })

  it('says what to do about a name that cannot be, a key that is there, and a service that is not', async () => {
    await keygen('key')
    const named = await cli.run('service register Order --jwk key.jwk')
    expect(named).toMatchObject({ code: 1, stderr: expect.stringContaining('must be 1 to 63 of a-z 0-9 -') })
    await cli.run('service register keyed --jwk key.jwk')
    const twice = await cli.run('service register keyed --jwk key.jwk --add')
    expect(twice).toMatchObject({ code: 1, stderr: expect.stringContaining('countersign service get keyed') })
    const absent = await cli.run('service register absent --jwk key.jwk --add')
    expect(absent).toMatchObject({ code: 1, stderr: expect.stringContaining('countersign service list') })
  })
})

describe('countersign service list, get and unregister', () => {
  it('show services with their keys, and take them away', async () => {
    const { kid } = await keygen('shown')
    await cli.run('service register shown --jwk shown.jwk')
    const listed = await cli.run('service list --json')
    expect(listed.json.next).toBeNull()
    expect(listed.json.items.find(({ name }: { name: string }) => name === 'shown').jwks.keys[0].kid).toBe(kid)
    expect((await cli.run('service list')).stdout).toMatch(new RegExp(`^shown +${kid}`, 'm'))
    const got = await cli.run('service get shown-service')
    expect(got.stdout).toContain(`${cli.server.url}/shown/.well-known/jwks.json`)
    expect((await cli.run('service unregister shown')).stderr).toBe('Service shown is unregistered.\n')
    expect(await cli.run('service unregister shown')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('countersign service list'),
    })
    expect((await fetch(`${cli.server.url}/shown/.well-known/jwks.json`)).status).toBe(404)
  })
})
