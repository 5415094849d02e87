import { readdirSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { nodeOf, testAgent, testFolder, testServer, until } from '../agent.fixture.ts'
import type { FakeSpireServer } from '../spire-server.fixture.ts'

const syncIntervalSeconds = 0.1

describe('when the authority that signed its SVID is withdrawn, an agent', () => {
  it('has renewed by then, if it was tainted first', async () => {
    const server = await testServer()
    const { agent } = testAgent(server, { syncIntervalSeconds })
    await agent.start()
    server.authority.rotate()
    server.taintFirstAuthority = true
    await until(() => server.count('renewAgent') === 1)
    await revokeFirstAuthority(server)
    await synchronized(server)
    expect(server.count('attestAgent')).toBe(1)
    expect(server.count('renewAgent')).toBe(1)
  })

  it('attests itself again, where it can', async () => {
    const server = await testServer()
    const { agent } = testAgent(server, { node: nodeOf(server), syncIntervalSeconds })
    await agent.start()
    server.authority.rotate()
    await synchronized(server)
    await revokeFirstAuthority(server)
    await until(() => server.count('attestAgent') === 2)
    await synchronized(server)
  })

  it('goes on, where it was only a replica that had not heard of the authority yet', async () => {
    const server = await testServer()
    const { agent, logged } = testAgent(server, { syncIntervalSeconds })
    await agent.start()
    server.authority.rotate()
    await synchronized(server)
    const looks = () => server.calls.filter(({ method, agent }) => method === 'getBundle' && agent === undefined).length
    const before = looks()
    await revokeFirstAuthority(server)
    await until(() => looks() > before)
    await setTimeout(500)
    server.revokeFirstAuthority = false
    await synchronized(server)
    expect(server.count('attestAgent')).toBe(1)
    expect(logged.filter((line) => line.startsWith('error'))).toEqual([])
  })

  it('ends and forgets its SVID, where a token was all it had', async () => {
    const server = await testServer()
    const dataDirectory = testFolder()
    const { agent } = testAgent(server, { dataDirectory, syncIntervalSeconds })
    await agent.start()
    server.authority.rotate()
    await synchronized(server)
    await revokeFirstAuthority(server)
    expect((await agent.removed).message).toContain('new join token')
    expect(readdirSync(dataDirectory)).toEqual([])
  })
})

/** The server looks at its connections anew, and ends without a word those that it does not trust. */
async function revokeFirstAuthority(server: FakeSpireServer): Promise<void> {
  await synchronized(server)
  server.revokeFirstAuthority = true
  await server.stop()
  await server.start()
}

async function synchronized(server: FakeSpireServer): Promise<void> {
  const before = server.count('getBundle')
  await until(() => server.count('getBundle') > before + 1)
}
