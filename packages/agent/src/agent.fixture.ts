import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { toPem } from '@countersign/spiffe'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { onTestFinished } from 'vitest'
import { type Agent, createAgent } from './agent.ts'
import type { AgentOptions } from './agent-options.ts'
import { createUnixAttestor } from './attestors/unix.ts'
import { type FakeSpireServer, startFakeSpireServer } from './spire-server.fixture.ts'

/** A folder of this test's own. */
export function testFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'agent-'))
  chmodSync(folder, 0o755)
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export async function testServer(options: Parameters<typeof startFakeSpireServer>[0] = {}): Promise<FakeSpireServer> {
  const server = await startFakeSpireServer(options)
  onTestFinished(() => server.stop())
  return server
}

/** An agent that may join the server by a fresh token, in a folder of its own. */
export function testAgent(
  server: FakeSpireServer,
  options: Partial<AgentOptions> = {},
): { agent: Agent; socket: string; folder: string; logged: string[] } {
  const folder = testFolder()
  const bundleFile = join(folder, 'bundle.pem')
  writeFileSync(bundleFile, server.bundlePem)
  const token = `token-${Math.random().toString(36).slice(2)}`
  server.joinTokens.add(token)
  const socket = join(folder, 'agent.sock')
  const logged: string[] = []
  const note = (level: string) => (fields: object, message: string) =>
    logged.push(`${level} ${message} ${JSON.stringify(fields)}`)
  const agent = createAgent({
    server: server.address,
    trustDomain: server.trustDomain,
    bootstrap: { bundleFile },
    node: { joinToken: token },
    socket,
    attestors: [createUnixAttestor()],
    log: { info: note('info'), warn: note('warn'), error: note('error') },
    ...options,
  })
  onTestFinished(() => agent.stop())
  return { agent, socket, folder, logged }
}

/** A node with a certificate, which the server accepts again and again. */
export function nodeOf(server: Pick<FakeSpireServer, 'x509popCa'>) {
  const authority = createTestAuthority('nodes.test')
  const folder = testFolder()
  const files = { certificateFile: join(folder, 'node.pem'), keyFile: join(folder, 'node.key') }
  const { certificatePem, keyPem } = authority.certificate({ commonName: 'node-1' })
  writeFileSync(files.certificateFile, certificatePem)
  writeFileSync(files.keyFile, keyPem, { mode: 0o600 })
  server.x509popCa = toPem(authority.issuer.certificate.der)
  return { x509pop: files }
}

/** Selectors of the process that the test is. */
export const me = `unix:uid:${process.getuid?.()}`

/** Waits until `condition` holds; a test that never sees it fails by its time. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}
