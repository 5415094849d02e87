import { spawn } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { type CliServer, main, nodeFlags, startCliServer } from './cli.fixture.ts'

let cli: CliServer
beforeAll(async () => {
  cli = await startCliServer()
  const client = await cli.server.addClient('svc-audited')
  for (let count = 0; count < 5; count += 1) await cli.server.token(client)
  await cli.server.post('/oauth/token', { grant_type: 'client_credentials' }, { ...client, secret: 'wrong' })
  await writeFile(file('head.json'), (await cli.run('audit head --json')).stdout)
  for (const order of ['asc', 'desc']) {
    const { stdout } = await cli.run(`audit search --order ${order} --limit 100000 --json`)
    await writeFile(file(`${order}.ndjson`), stdout)
  }
})
afterAll(() => cli.close())

const file = (name: string) => join(cli.folder, name)
const linesOf = (text: string) => text.trim().split('\n')

it('finds events by type, client and outcome, one JSON a line', async () => {
  const { stdout } = await cli.run('audit search --type token.issued --client-id svc-audited --json')
  const events = linesOf(stdout).map((line) => JSON.parse(line))
  expect(events).toHaveLength(5)
  expect(events[0]).toMatchObject({ type: 'token.issued', client_id: 'svc-audited', hash: expect.any(String) })
  const failures = await cli.run('audit search --outcome failure --since 1h')
  expect(failures.stdout).toMatch(/FAIL .*svc-audited/)
})

it('follows cursors up to the limit', async () => {
  for (let count = 0; count < 210; count += 1)
    await cli.server.authority.audit.record({ type: 'test.paged', outcome: 'success' })
  const search = async (limit: number) =>
    linesOf((await cli.run(`audit search --type test.paged --limit ${limit} --order asc --json`)).stdout)
  expect(await search(205)).toHaveLength(205)
  expect(await search(1000)).toHaveLength(210)
})

it('proves the live trail whole, while the server goes on writing', async () => {
  const writing = setInterval(
    () => void cli.server.authority.audit.record({ type: 'test.event', outcome: 'success' }),
    2,
  )
  const { code, json } = await cli.run('audit verify --json')
  clearInterval(writing)
  expect(json).toMatchObject({ holds: true, broken: [] })
  expect(code).toBe(0)
})

it('proves an exported file offline against a head noted earlier, in either order', async () => {
  for (const order of ['asc', 'desc']) {
    const { code, stdout } = await cli.run(`audit verify ${order}.ndjson --head head.json`, {
      env: { COUNTERSIGN_URL: '' },
    })
    expect(stdout).toMatch(/^whole {3}chain "local"/)
    expect(code).toBe(0)
  }
})

it.each([
  [
    'an edited',
    (lines: string[]) => lines.with(4, lines[4]!.replace('success', 'failure').replace('"admin"', '"other"')),
    'event 5 does not fit its hash',
  ],
  ['a removed', (lines: string[]) => lines.toSpliced(4, 1), 'event 5 is missing'],
  [
    'a reordered',
    (lines: string[]) => lines.toSpliced(4, 2, lines[5]!, lines[4]!),
    'event 5 stands after one that should follow it',
  ],
  ['an inserted', (lines: string[]) => lines.toSpliced(5, 0, lines[4]!), 'event 5 is there a second time'],
  ['a cut tail of', (lines: string[]) => lines.slice(0, 6), 'a noted head proves'],
  ['an unreadable', (lines: string[]) => lines.with(4, '{"chain":'), 'audit event'],
])('finds and names %s event of an export', async (_what, tamper, message) => {
  const lines = linesOf(await readFile(file('asc.ndjson'), 'utf8'))
  await writeFile(file('tampered.ndjson'), `${tamper(lines).join('\n')}\n`)
  const { code, stdout } = await cli.run('audit verify tampered.ndjson --head head.json')
  expect(code).toBe(1)
  expect(stdout).toContain('BROKEN')
  expect(stdout).toContain(message)
})

it('refuses a head that another key signed', async () => {
  const head = JSON.parse(await readFile(file('head.json'), 'utf8'))
  head.items[0].hash = '0'.repeat(64)
  await writeFile(file('forged.json'), JSON.stringify(head))
  const { code, json } = await cli.run('audit verify asc.ndjson --head forged.json --json')
  expect(code).toBe(1)
  expect(json.broken[0].problem).toBe('noted_head_signature')
})

it('says what it cannot prove where no head was noted', async () => {
  const { code, stderr } = await cli.run('audit verify asc.ndjson')
  expect(code).toBe(0)
  expect(stderr).toContain('no signed head was given')
})

it('shows the last events and then each as it happens, until it is told to stop', async () => {
  const child = spawn(
    process.execPath,
    [...nodeFlags, main, 'audit', 'tail', '-n', '1', '--type', 'test.tailed', '--json'],
    {
      env: { PATH: process.env.PATH, ...cli.env },
    },
  )
  let stdout = ''
  child.stdout.on('data', (chunk) => (stdout += chunk))
  const until = async (count: number) => {
    while (linesOf(stdout).filter(Boolean).length < count) await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const record = (reason: string) =>
    cli.server.authority.audit.record({ type: 'test.tailed', outcome: 'success', reason })
  await record('before')
  await until(1)
  await record('first')
  await record('second')
  await until(3)
  child.kill('SIGINT')
  expect(await new Promise((resolve) => child.on('close', resolve))).toBe(0)
  expect(linesOf(stdout).map((line) => JSON.parse(line).reason)).toEqual(['before', 'first', 'second'])
})

it('finds an event that was edited in the database, and one that was added without the audit key', async () => {
  const edited = await startCliServer()
  onTestFinished(() => edited.close())
  const client = await edited.server.addClient('svc-audited')
  for (let count = 0; count < 5; count += 1) await edited.server.token(client)
  const { database } = edited.server.authority.store
  const last = await database
    .selectFrom('audit_events')
    .selectAll()
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirstOrThrow()
  const forged = { ...JSON.parse(last.event), chain: 'forged', sequence: 1 }
  await database
    .insertInto('audit_events')
    .values({ ...last, chain: 'forged', sequence: 1, event: JSON.stringify(forged) })
    .execute()
  const { event } = await database
    .selectFrom('audit_events')
    .selectAll()
    .where('chain', '=', 'local')
    .where('sequence', '=', 2)
    .executeTakeFirstOrThrow()
  const rewritten = event.replace('"success"', '"failure"')
  expect(rewritten).not.toBe(event)
  await database
    .updateTable('audit_events')
    .set({ event: rewritten })
    .where('chain', '=', 'local')
    .where('sequence', '=', 2)
    .execute()
  const { code, json } = await edited.run('audit verify --json')
  expect(code).toBe(1)
  expect(
    json.broken.map(({ chain, problem }: { chain: string; problem: string }) => `${chain} ${problem}`).sort(),
  ).toEqual(['forged head_missing', 'local edited'])
})
