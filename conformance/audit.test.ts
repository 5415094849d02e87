import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeWith } from './describe-with.ts'
import { preparePython } from './python.ts'
import { audiences, type ServerUnderTest, startServerUnderTest } from './server-under-test.ts'

type Event = Record<string, unknown> & { chain: string; sequence: number; hash: string }
type Head = { chain: string; sequence: number; hash: string; time: string; signature: string }

await describeWith(preparePython, 'an independent verifier of the audit chains', (python) => {
  let folder: string
  let server: ServerUnderTest
  let events: Event[]
  let heads: { items: Head[]; public_jwk: object }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'countersign-audit-'))
    server = await startServerUnderTest()
    await fillTheLog()
    events = await allEvents()
    heads = await server.admin('GET', '/audit-events/heads')
  })
  afterAll(async () => {
    await server.close()
    await rm(folder, { recursive: true, force: true })
  })

  async function fillTheLog() {
    const svc = await server.addClient('svc', { name: 'Größe "quoted" \\ 🙂' })
    for (let count = 0; count < 20; count += 1) await server.token(svc, audiences.RS256)
    const wrong = new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: 'svc "\u00e9\u0000\ud83d\ude42',
      client_secret: 'wrong',
    })
    await fetch(server.metadata.token_endpoint, { method: 'POST', body: wrong })
  }

  async function allEvents(): Promise<Event[]> {
    const found: Event[] = []
    for (let cursor = ''; ; ) {
      const page = await server.admin('GET', `/audit-events?order=asc&limit=10${cursor}`)
      found.push(...page.items)
      if (page.next === null) return found
      cursor = `&cursor=${encodeURIComponent(page.next)}`
    }
  }

  async function verify(someEvents: Event[], someHeads: object = heads) {
    const [eventsFile, headsFile] = [join(folder, 'events.jsonl'), join(folder, 'heads.json')]
    await writeFile(eventsFile, someEvents.map((event) => `${JSON.stringify(event)}\n`).join(''))
    await writeFile(headsFile, JSON.stringify(someHeads))
    const script = fileURLToPath(new URL('python/verify_audit.py', import.meta.url))
    const { status, stdout, stderr } = await python.run([script, eventsFile, headsFile])
    expect(stderr).toBe('')
    return { status, said: stdout.trim() }
  }

  it('finds every chain whole', async () => {
    expect(events.length).toBeGreaterThan(30)
    expect(await verify(events)).toEqual({ status: 0, said: 'every chain holds' })
  })

  it('finds an edited, a removed and an inserted event, and a cut tail', async () => {
    const edited = events.map((event) => (event.sequence === 7 ? { ...event, outcome: 'failure', type: 'x.y' } : event))
    expect(await verify(edited)).toEqual({ status: 1, said: 'local: event 7 does not fit its hash' })
    const removed = events.filter(({ sequence }) => sequence !== 7)
    expect(await verify(removed)).toEqual({ status: 1, said: 'local: 8 follows 6' })
    const inserted = events.toSpliced(7, 0, events[6] as Event)
    expect(await verify(inserted)).toEqual({ status: 1, said: 'local: 7 follows 7' })
    const cut = await verify(events.slice(0, -3))
    expect(cut).toMatchObject({ status: 1, said: expect.stringContaining('the chain ends at') })
  })

  it('finds a head that the audit key did not sign', async () => {
    const items = heads.items.map((head) => ({ ...head, time: '2020-01-01T00:00:00.000Z' }))
    const { status, said } = await verify(events, { ...heads, items })
    expect({ status, said }).toMatchObject({ status: 1, said: expect.stringContaining('not signed by the audit key') })
  })
})
