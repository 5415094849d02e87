// Server and agent as they are deployed, on ports and sockets of their own, set up through the admin API alone.
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Agent, createAgent, createUnixAttestor } from '@countersign/agent'
import { freePort } from '../free-port.ts'
import { type ServerUnderTest, startServerUnderTest } from '../server-under-test.ts'
import { until } from '../until.ts'

export const trustDomain = 'example.org'

export interface NodeUnderTest {
  readonly server: ServerUnderTest
  readonly agent: Agent
  /** For files of the test too */
  readonly folder: string
  readonly socketPath: string
  /** An entry for the processes that run this program, or that have these selectors; resolves when the agent knows it. */
  addEntry(path: string, selectors: string | readonly string[], more?: object): Promise<string>
  removeEntry(id: string): Promise<void>
  close(): Promise<void>
}

export function idOf(path: string): string {
  return `spiffe://${trustDomain}${path}`
}

export async function startNodeUnderTest(environment: Record<string, string> = {}): Promise<NodeUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-node-'))
  await chmod(folder, 0o755)
  const nodePort = await freePort()
  const server = await startServerUnderTest({
    COUNTERSIGN_SPIFFE_TRUST_DOMAIN: trustDomain,
    COUNTERSIGN_SPIFFE_NODE_HOST: '127.0.0.1',
    COUNTERSIGN_SPIFFE_NODE_PORT: String(nodePort),
    ...environment,
  })
  const joinToken = (await server.admin('POST', '/join-tokens', { ttl: 60 })).token
  const socketPath = join(folder, 'agent.sock')
  const agent = createAgent({
    server: `127.0.0.1:${nodePort}`,
    trustDomain,
    bootstrap: { bundleUrl: `${server.issuer}spiffe/bundle` },
    node: { joinToken },
    socket: socketPath,
    attestors: [createUnixAttestor()],
    syncIntervalSeconds: 0.3,
    graceSeconds: 1,
  })
  await agent.start()
  await agent.ready
  const parent_id = agent.status().spiffe_id

  return {
    server,
    agent,
    folder,
    socketPath,
    async addEntry(path, selectors, more = {}) {
      const before = agent.status().entries
      const { id } = await server.admin('POST', '/entries', {
        spiffe_id: idOf(path),
        parent_id,
        selectors: typeof selectors === 'string' ? [`unix:path:${selectors}`] : selectors,
        ...more,
      })
      await until(() => agent.status().entries > before)
      return id
    },
    async removeEntry(id) {
      const before = agent.status().entries
      await server.admin('DELETE', `/entries/${id}`)
      await until(() => agent.status().entries < before)
    },
    async close() {
      await agent.stop()
      await server.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
