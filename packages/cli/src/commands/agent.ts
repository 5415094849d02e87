import type { Command } from 'commander'
import { spareMemory } from '../agent/spare-memory.ts'
import { leaf } from '../command.ts'
import { serveUntilSignal } from '../serve-until-signal.ts'

/** Flags by setting; every other setting is in the file or in the environment only. */
const flags = [
  ['server', '--server <address>', "the server's node API, HOST:PORT"],
  ['trust_domain', '--trust-domain <name>', 'the trust domain that it issues for'],
  ['bootstrap.bundle_file', '--bootstrap-bundle-file <file>', 'by what it is first judged: PEM or a bundle document'],
  ['bootstrap.bundle_url', '--bootstrap-bundle-url <url>', 'the same from a URL, https or on this machine'],
  ['bootstrap.insecure', '--bootstrap-insecure', 'believe whoever answers first; for trying out only'],
  ['node.join_token_file', '--node-join-token-file <file>', 'attest this node by the join token in it, once'],
  ['node.x509pop.cert_file', '--node-x509pop-cert-file <file>', 'attest this node by a certificate'],
  ['node.x509pop.key_file', '--node-x509pop-key-file <file>', 'and its key'],
  ['node.k8s_psat.cluster', '--node-k8s-psat-cluster <name>', 'attest this node by its service account there'],
  ['socket', '--socket <path>', 'of the Workload API and SDS (default: /run/countersign/agent.sock)'],
  ['admin_socket', '--admin-socket <path>', 'for explain (default: /run/countersign/agent-admin.sock)'],
  ['data_dir', '--data-dir <folder>', "keep the agent's own key and SVID there, for a restart without attestation"],
] as const

export function agentCommand(program: Command, description: string): void {
  const agent = leaf(
    program,
    'agent',
    description,
    'countersign agent --server auth.example.com:8081 --trust-domain example.com --bootstrap-bundle-file bundle.pem --node-join-token-file token --data-dir /var/lib/countersign-agent',
  ).option(
    '--config <file>',
    'settings in YAML; the environment (COUNTERSIGN_AGENT_*) wins over it, and options over both',
  )
  for (const [, flag, what] of flags) agent.option(flag, what)
  agent.action(async (options: Record<string, string | boolean | undefined>) => {
    spareMemory()
    const { runAgent } = await import('../agent/run-agent.ts')
    const given = flags.map(([name, flag]) => [name, options[optionOf(flag)]] as const)
    await serveUntilSignal(() =>
      runAgent({ config: options.config as string | undefined, flags: given, version: program.version() }),
    )
  })
}

/** As commander names it: `--data-dir <folder>` is `dataDir`. */
function optionOf(flag: string): string {
  return flag.replace(/^--| .*$/g, '').replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}
