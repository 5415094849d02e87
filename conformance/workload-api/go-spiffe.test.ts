import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeWith } from '../describe-with.ts'
import { prepareGoSpiffe } from './go-spiffe.ts'
import { idOf, type NodeUnderTest, startNodeUnderTest } from './node-under-test.ts'

const audience = 'https://orders.example.com'

await describeWith(prepareGoSpiffe, 'go-spiffe on our Workload API', (go) => {
  let node: NodeUnderTest
  beforeAll(async () => {
    node = await startNodeUnderTest({ COUNTERSIGN_SPIFFE_X509_SVID_TTL: '6s' })
  })
  afterAll(() => node.close())

  it('is told that it has no identity while no entry matches', async () => {
    const answer = await go.ask('fetch', { audience }, node.socketPath)
    expect(answer.error).toMatch(/PermissionDenied.*no identity issued/)
  })

  describe('with an entry for its program', () => {
    let entry: string
    beforeAll(async () => {
      entry = await node.addEntry('/go', go.program, { dns_names: ['go.example.org'], hint: 'internal' })
    })
    afterAll(() => node.removeEntry(entry))

    it('fetches X.509-SVIDs and JWT-SVIDs, and verifies them with the bundles that it fetched', async () => {
      const answer = await go.ask('fetch', { audience }, node.socketPath)
      expect(answer.x509).toEqual([
        {
          id: idOf('/go'),
          verified: idOf('/go'),
          serial: expect.stringMatching(/^[0-9a-f]+$/),
          expires_at: expect.any(Number),
          hint: 'internal',
          dns_names: ['go.example.org'],
        },
      ])
      expect(answer.jwt).toMatchObject([
        { id: idOf('/go'), audience: [audience], verified: idOf('/go'), validated: idOf('/go') },
      ])
      expect(answer.bundles).toEqual({ 'example.org': 1 })
      expect(Object.keys(answer.jwt_bundles)).toEqual(['example.org'])
      expect(answer.spoilt).toMatch(/^refused: .*InvalidArgument/)
    })

    it('fetches a JWT-SVID of the ID it asks for, and none of another', async () => {
      const asked = { audience, subject_id: idOf('/go') }
      expect((await go.ask('fetch', asked, node.socketPath)).jwt).toMatchObject([{ id: idOf('/go') }])
      const other = go.ask('fetch', { audience, subject_id: idOf('/other') }, node.socketPath)
      await expect(other).rejects.toThrow(/PermissionDenied/)
    })

    it('follows rotations', { timeout: 60_000 }, async () => {
      const watching = go.start('watch', { count: 3 }, node.socketPath)
      try {
        const seen = [await watching.next(), await watching.next(), await watching.next()]
        expect(new Set(seen.map(({ serial }) => serial)).size).toBe(3)
        for (const { verified } of seen) expect(verified).toBe(idOf('/go'))
        expect(seen[2].expires_at).toBeGreaterThan(seen[0].expires_at)
      } finally {
        await watching.stop()
      }
    })

    it('serves and calls with mTLS, through rotations, without a failed handshake', { timeout: 60_000 }, async () => {
      const serving = go.start('serve', { allowed_ids: [idOf('/go')] }, node.socketPath)
      try {
        const { address } = await serving.next()
        const asked = { url: `https://${address}/`, id: idOf('/go'), count: 90, pause_ms: 100 }
        const answers: { caller?: string; serial?: string; error?: string }[] = await go.ask(
          'call',
          asked,
          node.socketPath,
        )
        expect(answers.filter(({ caller }) => caller !== idOf('/go'))).toEqual([])
        expect(new Set(answers.map(({ serial }) => serial)).size).toBeGreaterThan(1)
      } finally {
        await serving.stop()
      }
    })
  })

  it('ends its identity with its process, and not with its connection', async () => {
    const entry = await node.addEntry('/mortal', go.program)
    const serving = go.start('serve', { allowed_ids: [] }, node.socketPath)
    await serving.next()
    await new Promise((resolve) => setTimeout(resolve, 2000))
    expect(await revoked('/mortal')).toEqual([])
    await serving.stop()
    await expect.poll(() => revoked('/mortal'), { timeout: 10_000 }).not.toEqual([])
    await node.removeEntry(entry)
  })

  /** What the audit trail says was revoked of this identity. */
  async function revoked(path: string): Promise<object[]> {
    const { items } = await node.server.admin('GET', '/audit-events?type=svid.revoked')
    return items.filter((event: object) => JSON.stringify(event).includes(idOf(path)))
  }

  it('has an identity by the hash of its program, and none by another', async () => {
    const { createHash } = await import('node:crypto')
    const { readFile } = await import('node:fs/promises')
    const hash = createHash('sha256')
      .update(await readFile(go.program))
      .digest('hex')
    const approved = await node.addEntry('/approved', [`unix:uid:${process.getuid?.()}`, `unix:sha256:${hash}`])
    const other = await node.addEntry('/other', [`unix:sha256:${'0'.repeat(64)}`])
    const answer = await go.ask('fetch', { audience }, node.socketPath)
    expect(answer.x509.map(({ id }: { id: string }) => id)).toEqual([idOf('/approved')])
    await node.removeEntry(approved)
    await node.removeEntry(other)
    expect((await go.ask('fetch', { audience }, node.socketPath)).error).toMatch(/no identity issued/)
  })
})
