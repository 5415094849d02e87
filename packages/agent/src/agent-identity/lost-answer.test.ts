import { existsSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { nodeOf, testAgent, testFolder, testServer, until } from '../agent.fixture.ts'

describe('an agent whose attestation is not answered', () => {
  it.each([true, false])(
    'is attested by its token all the same: it asks with one key (data directory: %s)',
    async (has) => {
      const server = await testServer()
      server.answersToLose = 2
      const dataDirectory = testFolder()
      const { agent } = testAgent(server, has ? { dataDirectory } : {})
      await agent.start()
      expect(server.attestedKeys).toHaveLength(3)
      expect(new Set(server.attestedKeys).size).toBe(1)
      expect(existsSync(join(dataDirectory, 'attestation.key'))).toBe(false)
    },
  )

  it('has that key also after a restart, by itself alone, until it has an identity', async () => {
    const server = await testServer()
    server.answersToLose = 1
    const dataDirectory = testFolder()
    const file = join(dataDirectory, 'attestation.key')
    const token = 'the-only-one'
    server.joinTokens.add(token)
    const begin = () => testAgent(server, { dataDirectory, node: { joinToken: token } }).agent
    const first = begin()
    void first.start()
    await until(() => server.attestedKeys.length === 1)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    await first.stop()

    const second = begin()
    await second.start()
    expect(server.attestedKeys[1]).toBe(server.attestedKeys[0])
    expect(existsSync(file)).toBe(false)
    expect(existsSync(join(dataDirectory, 'agent-identity.json'))).toBe(true)
    await second.stop()
  })

  it('makes another where the stored one cannot be read', async () => {
    const server = await testServer()
    const dataDirectory = testFolder()
    writeFileSync(join(dataDirectory, 'attestation.key'), 'half of a k')
    const { agent } = testAgent(server, { dataDirectory })
    await agent.start()
    expect(server.attestedKeys).toHaveLength(1)
  })

  it('takes a new key each time, and stores none, where it can attest itself again', async () => {
    const server = await testServer()
    server.answersToLose = 1
    const dataDirectory = testFolder()
    const { agent } = testAgent(server, { dataDirectory, node: nodeOf(server) })
    const started = agent.start()
    await until(() => server.attestedKeys.length === 1)
    expect(existsSync(join(dataDirectory, 'attestation.key'))).toBe(false)
    await started
    expect(new Set(server.attestedKeys).size).toBe(2)
  })
})
