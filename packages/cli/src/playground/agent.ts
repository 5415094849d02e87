import { join } from 'node:path'
import { createAgent, createUnixAttestor } from '@countersign/agent'
import { type Authority, createEntry, type RunningServer } from '@countersign/server'
import { agentId } from '@countersign/spiffe'
import type { Logger } from 'pino'
import { wrongUse } from '../cli-error.ts'
import { type NodeCertificate, openNodeCertificate } from './node-certificate.ts'

export const playgroundTrustDomain = 'playground.internal'

/** What a program that starts the playground is told of its agent. */
export interface AgentSummary {
  readonly socket: string
  readonly trust_domain: string
  /** What a process of this user is */
  readonly spiffe_id: string
}

const longestSocketPath = 107 // unix(7)

/** The settings by which the playground's server serves nodes: one, on this machine. */
export async function nodeSettings(directory: string): Promise<{
  environment: Record<string, string>
  node: NodeCertificate
}> {
  const longest = join(directory, 'agent-admin.sock')
  if (Buffer.byteLength(longest) > longestSocketPath) {
    throw wrongUse(
      `the agent's sockets cannot be made in ${directory}: the system allows them ${longestSocketPath} bytes; take a shorter folder: npm start -- --with-agent --data-dir ~/.countersign`,
    )
  }
  const node = await openNodeCertificate(directory, playgroundTrustDomain)
  return {
    node,
    environment: {
      COUNTERSIGN_SPIFFE_TRUST_DOMAIN: playgroundTrustDomain,
      COUNTERSIGN_SPIFFE_NODE_HOST: '127.0.0.1',
      COUNTERSIGN_SPIFFE_NODE_PORT: '0',
      COUNTERSIGN_SPIFFE_NODE_ATTESTORS_X509POP_CA_FILE: node.caFile,
    },
  }
}

/** One entry: whoever runs as this user is `spiffe://playground.internal/you`. Kept as the user left it. */
export async function seedEntry(authority: Authority, { fingerprint }: NodeCertificate): Promise<void> {
  const { store } = authority
  const known = await store.database.selectFrom('registration_entries').select('id').limit(1).executeTakeFirst()
  if (known !== undefined) return
  const selectors = [{ type: 'unix', value: `uid:${process.getuid?.() ?? 0}` }]
  const parentId = agentId(playgroundTrustDomain, `x509pop/${fingerprint}`).toString()
  await createEntry({ spiffeId: ownId, parentId, selectors }, playgroundTrustDomain, authority, {})
}

/** Starts the agent in this very process; with its end the Workload API ends. */
export async function startAgent(
  { nodeApi }: RunningServer,
  { issuer, directory, node, logger }: { issuer: string; directory: string; node: NodeCertificate; logger: Logger },
): Promise<AgentSummary & { stop(): Promise<void> }> {
  const socket = join(directory, 'agent.sock')
  const agent = createAgent({
    server: `127.0.0.1:${nodeApi?.port}`,
    trustDomain: playgroundTrustDomain,
    bootstrap: { bundleUrl: `${issuer}spiffe/bundle` },
    node: { x509pop: { certificateFile: node.certificateFile, keyFile: node.keyFile } },
    socket,
    trustFoldersAboveSockets: true,
    adminSocket: join(directory, 'agent-admin.sock'),
    attestors: [createUnixAttestor()],
    // Its warnings are for who runs an agent of a whole machine: this one serves its own user.
    log: logger.child({}, { level: process.env.COUNTERSIGN_LOG_LEVEL ?? 'error' }),
  })
  await agent.start()
  await agent.ready
  return { socket: `unix://${socket}`, trust_domain: playgroundTrustDomain, spiffe_id: ownId, stop: () => agent.stop() }
}

const ownId = `spiffe://${playgroundTrustDomain}/you`
