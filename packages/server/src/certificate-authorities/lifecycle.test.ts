import { generateKeyPairSync } from 'node:crypto'
import { newSerialNumber, parseCertificate, spiffeId, verifyJwtSvid, verifyX509Svid } from '@countersign/spiffe'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { describeStores } from '../storage/stores.fixture.ts'
import { activateAuthority } from './activate-authority.ts'
import { type AuthoritiesUnderTest, day, hour, openAuthorities, type Replica } from './authorities.fixture.ts'
import { mostAuthorities } from './authority-rows.ts'
import { prepareAuthority, revokeAuthority, rotateAuthority, taintAuthority } from './lifecycle.ts'
import { signJwtSvid } from './sign-jwt-svid.ts'
import { signX509Svid } from './sign-x509-svid.ts'
import { tendAuthorities } from './tend-authorities.ts'

let under: AuthoritiesUnderTest
const id = spiffeId('example.org', '/web')
const holder = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const publicKeyDer = holder.publicKey.export({ format: 'der', type: 'spki' })

function svid({ authorities }: Replica, ttlSeconds = hour) {
  const serialNumber = newSerialNumber()
  return signX509Svid(authorities, { id, publicKeyDer, ttlSeconds, serialNumber, now: under.clock.now })
}

function token({ authorities }: Replica, ttlSeconds = 300): string {
  const order = { id, audience: ['billing'], ttlSeconds, jti: 'a', now: under.clock.now }
  return signJwtSvid(authorities, order).token
}

/** As somebody judges them who has the bundle that `replica` gives now. */
function isTrusted(what: { chain: Buffer[] } | string, { authorities }: Replica): boolean {
  const bundles = new Map([['example.org', authorities.bundle()]])
  const { now } = under.clock
  try {
    if (typeof what === 'string') verifyJwtSvid(what, { audience: 'billing', bundles, now })
    else verifyX509Svid(what.chain.map(parseCertificate), bundles, now)
    return true
  } catch {
    return false
  }
}

/** Goes through time in steps, tending after each. */
async function pass(seconds: number, step = 6 * hour): Promise<void> {
  const until = under.clock.now + seconds
  while (under.clock.now < until) {
    under.clock.now = Math.min(until, under.clock.now + step)
    await tendAuthorities(under.one.context)
  }
  await under.one.feed.catchUp()
}

const sequence = () => under.one.authorities.bundle().sequenceNumber ?? 0
const active = () => under.one.authorities.issuer().certificate.subjectKeyId as string

describeStores('the life of a certificate authority', (kind) => {
  beforeEach(async () => {
    under = await openAuthorities(kind)
  })
  afterEach(() => under.close())

  it('begins with one CA and one key for JWT-SVIDs, both in the bundle, and nothing is done for 45 days', async () => {
    const bundle = under.one.authorities.bundle()
    expect(bundle.x509Authorities.map(({ subjectKeyId }) => subjectKeyId)).toEqual(await under.ids('x509', 'active'))
    expect([...bundle.jwtAuthorities.keys()]).toEqual(await under.ids('jwt', 'active'))
    const before = sequence()
    await pass(45 * day - 1)
    expect(await under.rows()).toHaveLength(2)
    expect(sequence()).toBe(before)
  })

  it('makes CA certificates as SPIFFE wants them', () => {
    const [root] = under.one.authorities.bundle().x509Authorities
    expect(root).toMatchObject({ isCa: true, pathLength: 0, uris: ['spiffe://example.org'] })
    expect([...(root?.keyUsage ?? [])].sort()).toEqual(['crlSign', 'keyCertSign'])
    expect(root?.notAfter).toBe(under.clock.now + 90 * day)
  })

  it('names each CA differently, for verifiers that look for an issuer by its name alone', async () => {
    await prepareAuthority('x509', under.one.context)
    await under.one.feed.catchUp()
    const names = under.one.authorities.bundle().x509Authorities.map(({ subject }) => subject)
    expect(new Set(names).size).toBe(2)
    for (const name of names) expect(name).toMatch(/example\.org CA [0-9a-f]{16}/)
  })

  it('publishes the next one half-way through the life, and lets it sign when a sixth is left', async () => {
    const first = active()
    await pass(45 * day)
    const [next] = (await under.ids('x509', 'prepared')) as [string]
    expect(active()).toBe(first)
    const published = under.one.authorities.bundle().x509Authorities.map(({ subjectKeyId }) => subjectKeyId)
    expect(published.sort()).toEqual([first, next].sort())
    await pass(30 * day - 1)
    expect(active()).toBe(first)
    await pass(1)
    expect(active()).toBe(next)
    expect(await under.ids('x509', 'retired')).toEqual([first])
  })

  it('trusts what the old one signed until that expires, and takes the old one out of the bundle when it has', async () => {
    const first = active()
    await pass(75 * day - 1)
    const [old, oldToken] = [svid(under.one), token(under.one)]
    await pass(1)
    expect(active()).not.toBe(first)
    const [young, youngToken] = [svid(under.one), token(under.one)]
    for (const what of [old, oldToken, young, youngToken]) expect(isTrusted(what, under.one)).toBe(true)
    await pass(15 * day + 1)
    const published = under.one.authorities.bundle().x509Authorities.map(({ subjectKeyId }) => subjectKeyId)
    expect(published).toContain(active())
    expect(published).not.toContain(first)
  })

  it('counts the bundle up by one with each change of it, and not when only the signer changes', async () => {
    const before = sequence()
    const next = await prepareAuthority('x509', under.one.context)
    await under.one.feed.catchUp()
    expect(sequence()).toBe(before + 1)
    under.clock.now += 600
    await activateAuthority(next, under.one.context)
    await under.one.feed.catchUp()
    expect(sequence()).toBe(before + 1)
    expect(active()).toBe(next)
  })

  it('records every step once, with what it was about', async () => {
    await pass(91 * day, day)
    const told = (await under.events()).filter(({ detail }) => detail.kind === 'x509')
    expect(told.map(({ type }) => type)).toEqual([
      'ca.activated',
      'ca.prepared',
      'ca.activated',
      'ca.prepared',
      'ca.retired',
    ])
    const targets = told.map(({ target }) => target)
    expect(targets[2]).toBe(targets[1])
    expect(targets[4]).toBe(targets[0])
    expect(`ca/${told[2]?.detail.retires}`).toBe(targets[0])
  })

  it('refuses to activate what was published just now, says how long to wait, and does it when forced', async () => {
    const first = active()
    const next = await prepareAuthority('x509', under.one.context)
    under.clock.now += 590
    await expect(activateAuthority(next, under.one.context)).rejects.toMatchObject({
      code: 'too_early',
      message: expect.stringContaining('wait 10 seconds'),
    })
    await activateAuthority(next, under.one.context, { force: true })
    await under.one.feed.catchUp()
    expect(active()).toBe(next)
    await expect(activateAuthority(first, under.one.context)).rejects.toMatchObject({ code: 'not_prepared' })
    await expect(activateAuthority('nothing', under.one.context)).rejects.toMatchObject({ code: 'not_found' })
  })

  it('prepares only one at a time', async () => {
    await prepareAuthority('x509', under.one.context)
    await expect(prepareAuthority('x509', under.one.context)).rejects.toMatchObject({ code: 'already_prepared' })
    await prepareAuthority('jwt', under.one.context)
  })

  it('rotates on demand as soon as everybody can know the next one, and not before', async () => {
    const first = active()
    const next = await rotateAuthority('x509', under.one.context)
    expect(await rotateAuthority('x509', under.one.context)).toBe(next)
    await pass(599, 100)
    expect(active()).toBe(first)
    await pass(1)
    expect(active()).toBe(next)
  })

  it('rotates at once where one was published for long enough already', async () => {
    const next = await prepareAuthority('x509', under.one.context)
    under.clock.now += 600
    expect(await rotateAuthority('x509', under.one.context)).toBe(next)
    await under.one.feed.catchUp()
    expect(active()).toBe(next)
  })

  it('gives no SVID and no token a longer life than what signs it', async () => {
    await pass(75 * day - 1)
    const end = under.one.authorities.issuer().certificate.notAfter
    const { expiresAt, chain } = svid(under.one, 30 * day)
    expect(expiresAt).toBe(end)
    expect(parseCertificate(chain[0] as Buffer)).toMatchObject({ notAfter: end, notBefore: under.clock.now - 10 })
    const claims = JSON.parse(Buffer.from(token(under.one, 30 * day).split('.')[1] ?? '', 'base64url').toString())
    expect(claims).toMatchObject({ sub: 'spiffe://example.org/web', aud: ['billing'], exp: end, iat: under.clock.now })
    expect(claims).not.toHaveProperty('iss')
  })

  it('taints before it revokes: all renew, then the bundle forgets it, and its key is destroyed', async () => {
    const first = active()
    const { der } = under.one.authorities.issuer().certificate
    await expect(taintAuthority(first, under.one.context)).rejects.toMatchObject({ code: 'still_active' })
    await rotateAuthority('x509', under.one.context, { force: true })
    await under.one.feed.catchUp()
    await expect(revokeAuthority(first, under.one.context)).rejects.toMatchObject({ code: 'not_tainted' })
    const before = sequence()
    await taintAuthority(first, under.one.context)
    await under.one.feed.catchUp()
    expect(sequence()).toBe(before + 1)
    const tainted = under.one.authorities.published().x509.filter((authority) => authority.tainted)
    expect(tainted).toEqual([{ der, tainted: true }])

    await revokeAuthority(first, under.one.context)
    await under.one.feed.catchUp()
    expect(sequence()).toBe(before + 2)
    expect(under.one.authorities.bundle().x509Authorities.map(({ subjectKeyId }) => subjectKeyId)).toEqual([active()])
    const row = (await under.rows()).find(({ id: each }) => each === first)
    expect(row).toMatchObject({ status: 'revoked', sealed_private_key: '' })
  })

  it('replaces at once a CA that signs when its revocation is forced, and trusts nothing of it', async () => {
    const first = active()
    const old = svid(under.one)
    await expect(revokeAuthority(first, under.one.context)).rejects.toMatchObject({ code: 'not_tainted' })
    await revokeAuthority(first, under.one.context, { force: true })
    await under.one.feed.catchUp()
    expect(active()).not.toBe(first)
    expect(isTrusted(old, under.one)).toBe(false)
    expect(isTrusted(svid(under.one), under.one)).toBe(true)
    await pass(91 * day)
    expect(active()).not.toBe(first)
  })

  it('names a revoked key of JWT-SVIDs on the revocation feed', async () => {
    const { kid } = under.one.authorities.jwtSigner()
    const old = token(under.one)
    await revokeAuthority(kid, under.one.context, { force: true })
    await under.one.feed.catchUp()
    expect(isTrusted(old, under.one)).toBe(false)
    expect(isTrusted(token(under.one), under.one)).toBe(true)
    const feed = await under.one.store.database.selectFrom('revocations').selectAll().execute()
    expect(feed).toMatchObject([{ kid, audience: null }])
  })

  it('revokes only once, even when asked three times together', async () => {
    const first = active()
    await Promise.all([1, 2, 3].map(() => revokeAuthority(first, under.one.context, { force: true })))
    expect((await under.events()).filter(({ type }) => type === 'ca.revoked')).toHaveLength(1)
    expect(await under.ids('x509', 'active')).toHaveLength(1)
  })

  it('keeps the bundle of a size that others read', async () => {
    for (let made = 1; made < mostAuthorities; made += 1)
      await rotateAuthority('x509', under.one.context, { force: true })
    await expect(rotateAuthority('x509', under.one.context, { force: true })).rejects.toMatchObject({
      code: 'too_many_authorities',
    })
    await under.one.feed.catchUp()
    expect(isTrusted(svid(under.one), under.one)).toBe(true)
  }, 20_000)

  it('issues nothing with an authority that has expired, and puts another in its place after a long sleep', async () => {
    under.clock.now += 200 * day
    expect(() => svid(under.one)).toThrow(/has expired/)
    expect(() => token(under.one)).toThrow(/has expired/)
    await tendAuthorities(under.one.context)
    await under.one.feed.catchUp()
    expect(isTrusted(svid(under.one), under.one)).toBe(true)
    expect(isTrusted(token(under.one), under.one)).toBe(true)
    expect(await under.rows()).toHaveLength(2)
  })

  it('puts no prepared CA in the place of one that has expired where that has expired too', async () => {
    const prepared = await prepareAuthority('x509', under.one.context)
    under.clock.now += 200 * day
    await tendAuthorities(under.one.context)
    const [signs] = (await under.rows()).filter(({ kind, status }) => kind === 'x509' && status === 'active')
    expect(signs?.id).not.toBe(prepared)
    expect(signs?.expires_at).toBeGreaterThan(under.clock.now)
  })

  it('does nothing while the clock is stepped back by an hour, and signs on', async () => {
    await pass(46 * day)
    const before = await under.rows()
    under.clock.now -= hour
    await tendAuthorities(under.one.context)
    expect(await under.rows()).toEqual(before)
    expect(isTrusted(svid(under.one), under.one)).toBe(true)
  })

  it('says so, instead of signing what nobody believes, when its CA was made by a clock that was ahead', async () => {
    under.clock.now += 365 * day
    await tendAuthorities(under.one.context)
    under.clock.now -= 365 * day
    await under.one.feed.catchUp()
    expect(() => svid(under.one)).toThrow(/made by a clock that is ahead/)
    await rotateAuthority('x509', under.one.context, { force: true })
    await under.one.feed.catchUp()
    expect(isTrusted(svid(under.one), under.one)).toBe(true)
  })

  it('keeps nothing of the private half of one that signs no more', async () => {
    const first = active()
    await rotateAuthority('x509', under.one.context, { force: true })
    const row = (await under.rows()).find(({ id: each }) => each === first)
    expect(row).toMatchObject({ status: 'retired', sealed_private_key: '' })
  })

  it('seals the private half: neither the key nor its parts stand in the database', async () => {
    for (const row of await under.rows()) {
      expect(row.sealed_private_key).toMatch(/^v1\./)
      expect(() => under.masterKey.open(row.sealed_private_key, 'certificate-authority/another')).toThrow(/altered/)
    }
  })
})
