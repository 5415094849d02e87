import { generateKeyPairSync } from 'node:crypto'
import { newSerialNumber, parseCertificate, spiffeId, verifyX509Svid } from '@countersign/spiffe'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openAdminApi } from '../admin/admin-api.fixture.ts'
import { describeStores } from '../storage/stores.fixture.ts'
import { activateAuthority } from './activate-authority.ts'
import { type AuthoritiesUnderTest, day, openAuthorities } from './authorities.fixture.ts'
import { prepareAuthority, rotateAuthority } from './lifecycle.ts'
import { signX509Svid } from './sign-x509-svid.ts'
import { tendAuthorities } from './tend-authorities.ts'

let under: AuthoritiesUnderTest
const publicKeyDer = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
  format: 'der',
  type: 'spki',
})

const sign = () =>
  signX509Svid(under.one.authorities, {
    id: spiffeId('example.org', '/web'),
    publicKeyDer,
    ttlSeconds: 3600,
    serialNumber: newSerialNumber(),
    now: under.clock.now,
  })

async function damage(id: string, change: (sealed: string) => string): Promise<void> {
  const row = (await under.rows()).find((each) => each.id === id)
  await under.one.store.database
    .updateTable('certificate_authorities')
    .set({ sealed_private_key: change(row?.sealed_private_key ?? '') })
    .where('id', '=', id)
    .execute()
}

/** As a server sees it that starts now. */
async function restart(): Promise<void> {
  under.one = await under.replica()
  await under.one.authorities.load()
}

const broken: [string, (sealed: string) => string][] = [
  ['cut off', (sealed) => sealed.slice(0, 60)],
  ['altered in one place', (sealed) => `${sealed.slice(0, 70)}${sealed[70] === 'A' ? 'B' : 'A'}${sealed.slice(71)}`],
  ['not even sealed', () => 'hello'],
  ['empty', () => ''],
]

describeStores('a CA key that cannot be opened', (kind) => {
  beforeEach(async () => {
    under = await openAuthorities(kind)
  })
  afterEach(() => under.close())

  it.each(broken)('and is %s: issuance says which and what to do, and verification goes on', async (_how, change) => {
    const before = sign()
    const [id] = (await under.ids('x509', 'active')) as [string]
    await damage(id, change)
    await restart()
    expect(sign).toThrow(
      expect.objectContaining({
        code: 'ca_unavailable',
        message: expect.stringMatching(new RegExp(`${id} is damaged .*countersign ca rotate --kind x509 --force`)),
      }),
    )
    const bundles = new Map([['example.org', under.one.authorities.bundle()]])
    expect(verifyX509Svid(before.chain.map(parseCertificate), bundles, under.clock.now).path).toBe('/web')
    expect(under.one.authorities.jwtSigner().kid).toEqual(expect.any(String))
    expect(under.one.errors).toHaveLength(1)
  })

  it('for what is published is the public half of another, signs nothing that nobody could verify', async () => {
    const [id] = (await under.ids('jwt', 'active')) as [string]
    await under.one.store.database
      .updateTable('certificate_authorities')
      .set({ public_key: publicKeyDer.toString('base64') })
      .where('id', '=', id)
      .execute()
    await restart()
    expect(() => under.one.authorities.jwtSigner()).toThrow(expect.objectContaining({ code: 'ca_unavailable' }))
    expect(sign).not.toThrow()
  })

  it('is replaced by force, and what it signed stays trusted', async () => {
    const before = sign()
    await damage((await under.ids('x509', 'active'))[0] as string, () => 'hello')
    await restart()
    await rotateAuthority('x509', under.one.context, { force: true })
    await under.one.feed.catchUp()
    const bundles = new Map([['example.org', under.one.authorities.bundle()]])
    for (const { chain } of [before, sign()]) {
      expect(verifyX509Svid(chain.map(parseCertificate), bundles, under.clock.now).path).toBe('/web')
    }
  })

  it('never takes the place of one that can be, and does not stand in the way of the next', async () => {
    const [active] = await under.ids('x509', 'active')
    const next = await prepareAuthority('x509', under.one.context)
    await damage(next, () => 'hello')
    under.clock.now += 600
    await expect(activateAuthority(next, under.one.context)).rejects.toThrow(/damaged/)
    under.clock.now += 80 * day
    await expect(tendAuthorities(under.one.context)).rejects.toThrow(/damaged/)
    expect(await under.ids('x509', 'active')).toEqual([active])
    const forced = await rotateAuthority('x509', under.one.context, { force: true })
    expect(forced).not.toBe(next)
    expect(await under.ids('x509', 'active')).toEqual([forced])
    expect(await under.ids('x509', 'prepared')).toEqual([])
  })

  it('is told as 503 by the admin API, while the bundle is served', async () => {
    const server = await openAdminApi({ kind, spiffe: { trustDomain: 'example.org' } })
    try {
      await server.authority.store.database
        .updateTable('certificate_authorities')
        .set({ sealed_private_key: 'hello', id: 'damaged' })
        .where('kind', '=', 'x509')
        .execute()
      await server.call('POST', '/certificate-authorities/prepare', { kind: 'jwt' })
      const csr = await import('@countersign/spiffe').then(({ createCertificateRequest, toPem }) =>
        toPem(
          createCertificateRequest({ key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey }),
          'CERTIFICATE REQUEST',
        ),
      )
      const answer = await server.call('POST', '/certificates', { csr, dns_names: ['a.example.org'] })
      expect(answer).toMatchObject({ status: 503, body: { code: 'ca_unavailable' } })
      expect(answer.body.detail).toContain('countersign ca rotate --kind x509 --force')
      expect((await server.app.inject('/spiffe/bundle')).statusCode).toBe(200)
    } finally {
      await server.close()
    }
  })
})
