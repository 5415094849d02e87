import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createBinaryHashes } from './binary-hashes.ts'
import { writeMapped } from './mapped-memory.fixture.ts'

const sha256 = (content: string) => createHash('sha256').update(content).digest('hex')

describe('createBinaryHashes', () => {
  let folder: string
  let file: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'hashes-'))
    file = join(folder, 'file')
    writeFileSync(file, 'one')
  })
  afterEach(() => {
    vi.useRealTimers()
    rmSync(folder, { recursive: true })
  })
  /** Lets the time pass for which a file that was changed is not remembered. */
  const settle = () => vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 5_000 })

  it('hashes a file anew when it changed, even where its time and size were put back', async () => {
    const hashes = createBinaryHashes()
    const time = new Date(1_700_000_000_000)
    utimesSync(file, time, time)
    expect(await hashes.of(file, 1)).toBe(sha256('one'))
    await new Promise((resolve) => setTimeout(resolve, 20))
    writeFileSync(file, 'two')
    utimesSync(file, time, time)
    expect(await hashes.of(file, 1)).toBe(sha256('two'))
  })

  it('reads a file once for callers that come together, and not again later', async () => {
    const hashes = createBinaryHashes()
    truncateSync(file, 128 * 2 ** 20)
    settle()
    let first: string | undefined
    const once = await costOf(async () => {
      ;[first] = await Promise.all(Array.from({ length: 20 }, () => hashes.of(file, 1)))
    })
    const again = await costOf(async () => {
      for (let count = 0; count < 20; count++) expect(await hashes.of(file, 2)).toBe(first)
    })
    expect(again).toBeLessThan(once)
  })

  it('remembers nothing of a file that was changed a moment ago: a kernel may not tell its next change from that one', async () => {
    const hashes = createBinaryHashes()
    truncateSync(file, 128 * 2 ** 20)
    const first = await costOf(() => hashes.of(file, 1))
    expect(await costOf(() => hashes.of(file, 1))).toBeGreaterThan(first / 5)
    const runner = {}
    await hashes.of(file, 1, runner)
    expect(await costOf(() => hashes.of(file, 1, runner))).toBeLessThan(first / 5)
  })

  it.skipIf(!existsSync('/dev/shm'))('hashes a file on tmpfs anew for each process that runs it', async () => {
    const shared = mkdtempSync('/dev/shm/hashes-')
    try {
      const program = join(shared, 'file')
      writeFileSync(program, 'one')
      settle()
      const hashes = createBinaryHashes()
      const before = statSync(program, { bigint: true }).ctimeNs
      expect(await hashes.of(program, 1, {})).toBe(sha256('one'))
      writeMapped(program, Buffer.from('two'))
      expect(statSync(program, { bigint: true }).ctimeNs).toBe(before)
      expect(await hashes.of(program, 1, {})).toBe(sha256('two'))
    } finally {
      rmSync(shared, { recursive: true })
    }
  })

  it("does not let one user's large files hold up another user's", async () => {
    const hashes = createBinaryHashes()
    const large = Array.from({ length: 4 }, (_, index) => {
      const path = join(folder, String(index))
      writeFileSync(path, '')
      truncateSync(path, 96 * 2 ** 20)
      return path
    })
    const done: string[] = []
    const others = large.map((path, index) => hashes.of(path, 1).then(() => done.push(`large ${index}`)))
    await hashes.of(file, 2).then(() => done.push('small'))
    await Promise.all(others)
    expect(done).toHaveLength(5)
    expect(done[0]).toBe('small')
  })

  it('goes on after a file that could not be hashed', async () => {
    const hashes = createBinaryHashes({ maxBytes: 5 })
    const large = join(folder, 'large')
    writeFileSync(large, 'too large')
    await expect(hashes.of(large, 1)).rejects.toThrow(/larger than 5 bytes/)
    await expect(hashes.of(folder, 1)).rejects.toThrow(/not a file/)
    expect(await hashes.of(file, 1)).toBe(sha256('one'))
  })
})

/** In microseconds of this process alone: what others on the machine do counts for nothing. */
async function costOf(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return user + system
}
