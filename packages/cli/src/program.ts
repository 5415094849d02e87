import { readFileSync } from 'node:fs'
import type { Command, Option } from 'commander'
import { OperandCommand } from './operand-command.ts'
import { paint } from './output.ts'

interface Entry {
  name: string
  description: string
  load: () => Promise<(program: Command, description: string) => void>
}

/** Every command there is. A command is loaded when it is called, so that the others cost nothing. */
const commands: readonly Entry[] = [
  {
    name: 'dev',
    description: 'start the playground: a server with a demo API and client, on this machine only',
    load: async () => (await import('./commands/dev.ts')).devCommand,
  },
  {
    name: 'server',
    description: 'start the production server; its log is JSON in any case',
    load: async () => (await import('./commands/server.ts')).serverCommand,
  },
  {
    name: 'login',
    description: 'save server, client and credential for later commands, readable by you only',
    load: async () => (await import('./commands/login.ts')).loginCommand,
  },
  {
    name: 'api',
    description: 'APIs: audiences, their scopes, and how their tokens look',
    load: async () => (await import('./commands/api.ts')).apiCommands,
  },
  {
    name: 'client',
    description: 'clients: machine identities, their credentials and grants',
    load: async () => (await import('./commands/client.ts')).clientCommands,
  },
  {
    name: 'apply',
    description: 'make the server as an access file says: APIs, clients and grants',
    load: async () => (await import('./commands/access-file.ts')).applyCommand,
  },
  {
    name: 'export',
    description: 'print all APIs, clients and grants as an access file',
    load: async () => (await import('./commands/access-file.ts')).exportCommand,
  },
  {
    name: 'token',
    description: 'access tokens: get, look into, revoke',
    load: async () => (await import('./commands/token.ts')).tokenCommands,
  },
  {
    name: 'key',
    description: "the server's signing keys",
    load: async () => (await import('./commands/key.ts')).keyCommands,
  },
  {
    name: 'service',
    description: 'services that sign their own tokens: key pairs, the public keys that verifiers get, tokens for calls',
    load: async () => (await import('./commands/service.ts')).serviceCommands,
  },
  {
    name: 'agent',
    description: 'start the agent of this machine: it attests itself and its workloads, and serves the Workload API',
    load: async () => (await import('./commands/agent.ts')).agentCommand,
  },
  {
    name: 'workload',
    description: 'workloads: registration entries that say who is who, and why a process is not',
    load: async () => (await import('./commands/workload.ts')).workloadCommands,
  },
  {
    name: 'node',
    description: 'nodes: who has joined, who is banned, join tokens',
    load: async () => (await import('./commands/node.ts')).nodeCommands,
  },
  {
    name: 'svid',
    description: 'what a process gets from a Workload API: certificates and JWTs, once or as they rotate',
    load: async () => (await import('./commands/svid.ts')).svidCommands,
  },
  {
    name: 'bundle',
    description: "trust bundles: the server's own, and those of the trust domains that it federates with",
    load: async () => (await import('./commands/bundle.ts')).bundleCommands,
  },
  {
    name: 'ca',
    description: "the trust domain's CAs and JWT-SVID keys",
    load: async () => (await import('./commands/ca.ts')).caCommands,
  },
  {
    name: 'cert',
    description: 'plain certificates, for systems that only know files',
    load: async () => (await import('./commands/cert.ts')).certCommands,
  },
  {
    name: 'audit',
    description: 'the audit trail: watch, search, prove whole',
    load: async () => (await import('./commands/audit.ts')).auditCommands,
  },
  {
    name: 'backup',
    description: 'copy the whole store, as it is at one moment, while servers go on',
    load: async () => (await import('./commands/backup.ts')).backupCommand,
  },
  {
    name: 'restore',
    description: 'put a backup into the store of the configuration; stop its servers first',
    load: async () => (await import('./commands/backup.ts')).restoreCommand,
  },
  {
    name: 'doctor',
    description: 'look for what is wrong: config, store, reachability, clock, keys; exit 1 if anything is',
    load: async () => (await import('./commands/doctor.ts')).doctorCommand,
  },
]

/** The program with the one command that is called in full, the others by name. */
export async function createProgram(args: readonly string[]): Promise<Command> {
  const program = new OperandCommand('countersign')
    .description('Tokens for machines: who is calling, can they prove it, and may they do this?')
    .version(version(), '--version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .exitOverride()
    .configureHelp({ styleTitle: (title) => paint('bold', title), groupItems })
    .configureOutput({ outputError: (text, write) => write(asSentence(text)) })
    .addHelpText(
      'after',
      "\nExample:\n  $ countersign dev\n  $ countersign api create --audience https://orders.example.com --scope 'read:orders=Read orders'",
    )
  const called = args.find((arg) => !arg.startsWith('-'))
  for (const { name, description, load } of commands) {
    if (name === called) (await load())(program, description)
    else program.command(name).description(description)
  }
  return program
}

/** What belongs to the command itself comes first, what all commands have in common last. */
function groupItems<Item extends Command | Option>(
  all: Item[],
  visible: Item[],
  groupOf: (item: Item) => string,
): Map<string, Item[]> {
  const groups = new Map<string, Item[]>()
  const names = new Set(all.map(groupOf))
  for (const name of ['Arguments:', 'Options:', 'Commands:', ...names]) {
    const items = visible.filter((item) => groupOf(item) === name)
    if (items.length > 0) groups.set(name, items)
  }
  return groups
}

/** commander's two-line errors as one sentence with its cure. */
function asSentence(text: string): string {
  const [first = '', ...rest] = text.trim().split('\n')
  const hint = rest.join(' ').replace(/^\((.*)\)$/, '$1')
  const fault = first
    .replace(/\.$/, '')
    .replaceAll("'", '"')
    .replace(' is invalid. It ', ' is invalid: it ')
    .replace(' is invalid. ', ' is invalid: ')
  return `${fault}${hint ? `; ${hint.charAt(0).toLowerCase()}${hint.slice(1)}` : '; --help shows how it is used'}\n`
}

function version(): string {
  return JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version
}
