import { X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { me, testAgent, testServer } from './agent.fixture.ts'
import { TestClock } from './clock.fixture.ts'
import { fakeEntry } from './spire-server.fixture.ts'
import { fetchX509, header, Messages, openWorkloadClient } from './workload-client.fixture.ts'

const minute = 60_000
const hour = 60 * minute

/** An agent, its server and its workloads on one clock that stands still. */
async function onOneClock(lifetimes: { agent: number; x509: number; jwt: number }) {
  const clock = new TestClock()
  const server = await testServer({ now: () => clock.now() })
  Object.assign(server.lifetimes, lifetimes)
  server.entries = [fakeEntry('/web', [me])]
  const started = testAgent(server, { clock, random: () => 0.5 })
  await started.agent.start()
  await started.agent.ready
  return { clock, server, ...started }
}

describe('a server that is away for an hour', () => {
  it('is not noticed by workloads: streams stay open, new ones are served, JWT-SVIDs are given out', async () => {
    const { clock, server, agent, socket } = await onOneClock({ agent: 4 * 3600, x509: 4 * 3600, jwt: 2 * 3600 })
    const client = openWorkloadClient(socket)
    const stream = new Messages(client.fetchX509Svid({}, header()))
    const first = (await stream.next()).svids[0]
    const token = await fetchJwt(client)
    await server.stop()
    await clock.advance(hour)
    expect(agent.status().last_sync).toBeLessThan(clock.now() / 1000 - 3500)
    expect(stream.waiting).toBe(0)
    expect((await fetchX509(socket)).svids[0]?.x509Svid).toEqual(first?.x509Svid)
    // Past half its life, and served while it is valid.
    expect(await fetchJwt(client)).toBe(token)

    await server.start()
    const away = clock.now() / 1000
    while ((agent.status().last_sync as number) < away) {
      await clock.advance(1_000)
      // The connection's own pause before it tries again is in real time.
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await clock.advance(hour + minute)
    const renewed = (await stream.next()).svids[0]
    expect(renewed?.x509SvidKey).not.toEqual(first?.x509SvidKey)
    client.close()
  })

  it('is asked for all that waits as soon as it answers anything', async () => {
    const { clock, server, agent } = await onOneClock({ agent: 4 * 3600, x509: 1800, jwt: 300 })
    await server.stop()
    await clock.advance(hour)
    expect(agent.status().cached_svids).toBe(0)
    await server.start()
    const away = clock.now() / 1000
    const isBack = () => ({
      synchronized: (agent.status().last_sync as number) >= away,
      svids: agent.status().cached_svids,
    })
    while (!isBack().synchronized && isBack().svids === 0) {
      await clock.advance(1_000)
      // The connection's own pause before it tries again is in real time.
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await clock.advance(1_000)
    await expect.poll(isBack).toEqual({ synchronized: true, svids: 1 })
  })

  it('leaves no workload with an expired SVID: there is none then', async () => {
    const { clock, server, agent, socket } = await onOneClock({ agent: 3600, x509: 1800, jwt: 300 })
    const { svids } = await fetchX509(socket)
    const certificate = new X509Certificate(svids[0]?.x509Svid as Buffer)
    await server.stop()
    await clock.advance(certificate.validToDate.getTime() - clock.now() + 1_000)
    const refused = fetchX509(socket)
    refused.catch(() => {})
    await clock.advance(20_000)
    await expect(refused).rejects.toMatchObject({ code: 14 })
    expect(agent.status().cached_svids).toBe(0)
  })

  it('is asked ever more seldom, and not by all agents at the same moment', async () => {
    const { clock, server, logged } = await onOneClock({ agent: 4 * 3600, x509: 4 * 3600, jwt: 300 })
    await server.stop()
    logged.length = 0
    await clock.advance(hour)
    const tries = logged.filter((line) => line.includes('cannot be synchronized')).length
    expect(tries).toBeGreaterThan(50)
    expect(tries).toBeLessThan(150)
  })

  it('ends an agent that joined by a token only with the SVIDs of its workloads', async () => {
    const { clock, server, agent, socket, logged } = await onOneClock({ agent: 1800, x509: 4 * 3600, jwt: 300 })
    await fetchX509(socket)
    await server.stop()
    for (let passed = 0; passed < 60; passed += 1) {
      await clock.advance(minute)
      // That nobody listens is found out in real time.
      await new Promise((resolve) => setTimeout(resolve, 30))
    }
    expect(logged.filter((line) => line.includes('start the agent with a new join token'))).toHaveLength(1)
    expect((await fetchX509(socket)).svids).toHaveLength(1)
    expect(agent.status().expires_at).toBeLessThan(clock.now() / 1000)
  })
})

describe("an agent's clock that is a day ahead for a while", () => {
  it('costs no agent that joined by a token its identity', async () => {
    const clock = new TestClock()
    const server = await testServer({ now: () => clock.now() })
    server.lifetimes.agent = 1800
    let ahead = 0
    const { agent, logged } = testAgent(server, {
      clock: { now: () => clock.now() + ahead, after: (delay, callback) => clock.after(delay, callback) },
      random: () => 0.5,
    })
    await agent.start()
    await agent.ready
    ahead = 24 * hour
    // By such a clock the server's certificate has expired too.
    await server.stop()
    const lost = () => logged.filter((line) => line.includes('start the agent with a new join token'))
    await clock.advance(16 * minute)
    expect(lost()).toHaveLength(1)
    ahead = 0
    await server.start()
    while (server.count('renewAgent') === 0 && clock.now() / 1000 < (agent.status().expires_at as number)) {
      await clock.advance(1_000)
      // The connection's own pause before it tries again is in real time.
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    expect(server.count('renewAgent')).toBe(1)
    expect(server.count('attestAgent')).toBe(1)
  })
})

function fetchJwt(client: ReturnType<typeof openWorkloadClient>): Promise<string> {
  return new Promise((resolve, reject) => {
    client.fetchJwtsvid({ audience: ['billing'], spiffeId: '' }, header(), (error, response) => {
      if (error) reject(error)
      else resolve(response.svids[0]?.svid as string)
    })
  })
}
