import { realpathSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeWith } from '../describe-with.ts'
import { preparePython } from '../python.ts'
import { idOf, type NodeUnderTest, startNodeUnderTest } from './node-under-test.ts'

const audience = 'https://orders.example.com'

await describeWith(preparePython, 'py-spiffe on our Workload API', (python) => {
  let node: NodeUnderTest
  const ask = (command: string, more: object = {}) =>
    python.ask('spiffe_workload.py', { command, socket: `unix://${node.socketPath}`, audience, ...more })
  beforeAll(async () => {
    node = await startNodeUnderTest({ COUNTERSIGN_SPIFFE_X509_SVID_TTL: '6s' })
  })
  afterAll(() => node.close())

  it('is told that it has no identity while no entry matches', async () => {
    await expect(ask('fetch')).rejects.toThrow(/no identity issued/)
  })

  it('fetches X.509-SVIDs, JWT-SVIDs and bundles that fit each other', async () => {
    const { stdout } = await python.run(['-c', 'import os; print(os.path.realpath("/proc/self/exe"))'])
    await node.addEntry('/python', realpathSync(stdout.trim()))
    const answer = await ask('fetch')
    expect(answer.x509).toMatchObject([{ id: idOf('/python') }])
    expect(answer.jwt).toEqual([{ id: idOf('/python'), verified: idOf('/python'), validated: idOf('/python') }])
    expect(answer.bundles).toEqual({ 'example.org': 1 })
    expect(answer.x509_bundles).toEqual(['example.org'])
    expect(Object.keys(answer.jwt_bundles)).toEqual(['example.org'])
  })

  it('follows rotations by its X509Source, and gets tokens by its JwtSource', { timeout: 60_000 }, async () => {
    const answer = await ask('watch', { count: 3 })
    expect(answer).toMatchObject({ id: idOf('/python'), jwt_id: idOf('/python') })
    expect(new Set(answer.serials).size).toBe(3)
  })
})
