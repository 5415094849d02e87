import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, it, onTestFinished } from 'vitest'
import { agentId, ask, attestByToken, newKey, startTestNodeServer } from './node-api.fixture.ts'

it('gives no SVID away before what says so is durable (84)', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-durable-'))
  const file = join(folder, 'a.db')
  const server = await startTestNodeServer({ databaseUrl: `sqlite:${file}` })
  const identity = await attestByToken(server)
  const client = server.connect(identity)
  const other = new DatabaseSync(file)
  onTestFinished(async () => {
    other.close()
    client.close()
    await server.close()
    rmSync(folder, { recursive: true })
  })
  const { id: entryId } = await server.entry({ parentId: agentId(identity) })
  const asked = {
    x509: () => ask(client.svid.batchNewX509Svid, client.svid, { params: [{ entryId, csr: newKey().csr }] }),
    jwt: () => ask(client.svid.newJwtsvid, client.svid, { entryId, audience: ['a'] }),
  }
  for (const give of [asked.x509, asked.jwt]) {
    await give()
    const before = (await server.events('svid.issued')).length
    // Whoever writes now waits.
    other.exec('BEGIN IMMEDIATE')
    let answered = false
    const answer = give().then(() => {
      answered = true
    })
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(answered).toBe(false)
    other.exec('COMMIT')
    await answer
    expect((await server.events('svid.issued')).length).toBe(before + 1)
  }
})
