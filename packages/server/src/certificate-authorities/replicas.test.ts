import { afterEach, beforeEach, expect, it } from 'vitest'
import { describeStores } from '../storage/stores.fixture.ts'
import { activateAuthority } from './activate-authority.ts'
import { type AuthoritiesUnderTest, day, openAuthorities, type Replica } from './authorities.fixture.ts'
import { authorityKinds } from './authority-context.ts'
import { prepareAuthority, rotateAuthority } from './lifecycle.ts'
import { ensureAuthority, tendAuthorities } from './tend-authorities.ts'

let under: AuthoritiesUnderTest
let replicas: Replica[]

const signer = ({ authorities }: Replica) => authorities.issuer().certificate.subjectKeyId
const catchUp = () => Promise.all(replicas.map(({ feed }) => feed.catchUp()))

describeStores('several replicas of one authority', (kind) => {
  beforeEach(async () => {
    under = await openAuthorities(kind)
    replicas = [under.one, await under.replica(), await under.replica()]
    for (const { authorities } of replicas.slice(1)) await authorities.load()
  })
  afterEach(() => under.close())

  it('begin with one CA, even when all of them start at once', async () => {
    await under.one.store.database.deleteFrom('certificate_authorities').execute()
    const starts = replicas.flatMap(({ context }) => authorityKinds.map((each) => ensureAuthority(each, context)))
    await Promise.all(starts)
    expect(await under.ids('x509', 'active')).toHaveLength(1)
    expect(await under.ids('jwt', 'active')).toHaveLength(1)
  })

  it('never let two CAs sign, however they race to prepare, activate and rotate', async () => {
    for (let round = 0; round < 4; round += 1) {
      under.clock.now += 600
      const acts = replicas.flatMap(({ context }) => [
        prepareAuthority('x509', context),
        rotateAuthority('x509', context),
        tendAuthorities(context),
        under.ids('x509', 'prepared').then(([id = '']) => activateAuthority(id, context, { force: true })),
      ])
      await Promise.allSettled(acts)
      await catchUp()
      const active = await under.ids('x509', 'active')
      expect(active).toHaveLength(1)
      expect((await under.ids('x509', 'prepared')).length).toBeLessThanOrEqual(1)
      expect(new Set(replicas.map(signer))).toEqual(new Set(active))
    }
  }, 30_000)

  it('do each step of a life once, though all of them look after it', async () => {
    for (let passed = 0; passed < 91; passed += 3) {
      under.clock.now += 3 * day
      await Promise.all(replicas.map(({ context }) => tendAuthorities(context)))
    }
    const types = (await under.events()).filter(({ detail }) => detail.kind === 'x509').map(({ type }) => type)
    expect(types.sort()).toEqual(['ca.activated', 'ca.activated', 'ca.prepared', 'ca.prepared', 'ca.retired'])
  }, 30_000)

  it('are refused a second active CA by the database itself', async () => {
    const [row] = (await under.rows()).filter((each) => each.kind === 'x509')
    const second = under.one.store.database
      .insertInto('certificate_authorities')
      .values({ ...(row as NonNullable<typeof row>), id: 'another' })
      .execute()
    await expect(second).rejects.toMatchObject({ code: 'conflict' })
  })

  it('publish the same bundle under the same number', async () => {
    await rotateAuthority('x509', replicas[1]?.context as Replica['context'], { force: true })
    await prepareAuthority('jwt', replicas[2]?.context as Replica['context'])
    await catchUp()
    const told = replicas.map(({ authorities }) => {
      const { sequenceNumber, x509Authorities, jwtAuthorities } = authorities.bundle()
      return JSON.stringify([
        sequenceNumber,
        x509Authorities.map(({ serialNumber }) => serialNumber),
        [...jwtAuthorities.keys()],
      ])
    })
    expect(new Set(told).size).toBe(1)
  })

  it('tell whoever listens once for each change, and nothing for what concerns others', async () => {
    let told = 0
    const end = replicas[1]?.authorities.onChange(() => {
      told += 1
    })
    await prepareAuthority('x509', under.one.context)
    await catchUp()
    expect(told).toBe(1)
    await replicas[1]?.authorities.load()
    expect(told).toBe(1)
    end?.()
    await rotateAuthority('x509', under.one.context, { force: true })
    await catchUp()
    expect(told).toBe(1)
  })
})
