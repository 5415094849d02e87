import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { accessFileCommands } from './commands/access-file.ts'
import { apiCommands } from './commands/api.ts'
import { auditCommands } from './commands/audit.ts'
import { backupCommands } from './commands/backup.ts'
import { clientCommands } from './commands/client.ts'
import { devCommand } from './commands/dev.ts'
import { doctorCommand } from './commands/doctor.ts'
import { keyCommands } from './commands/key.ts'
import { loginCommand } from './commands/login.ts'
import { serverCommand } from './commands/server.ts'
import { tokenCommands } from './commands/token.ts'
import { paint } from './output.ts'

/** Every command there is. Each registers itself; what it needs is loaded when it runs. */
const commands = [
  devCommand,
  serverCommand,
  loginCommand,
  apiCommands,
  clientCommands,
  accessFileCommands,
  tokenCommands,
  keyCommands,
  auditCommands,
  backupCommands,
  doctorCommand,
]

export function createProgram(): Command {
  const program = new Command('countersign')
    .description('Tokens for machines: who is calling, can they prove it, and may they do this?')
    .version(version(), '--version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .exitOverride()
    .configureHelp({ styleTitle: (title) => paint('bold', title) })
    .configureOutput({ outputError: (text, write) => write(asSentence(text)) })
    .addHelpText(
      'after',
      "\nExample:\n  $ countersign dev\n  $ countersign api create --audience https://orders.example.com --scope 'read:orders=Read orders'",
    )
  for (const register of commands) register(program)
  return program
}

/** commander's two-line errors as one sentence with its cure. */
function asSentence(text: string): string {
  const [first = '', ...rest] = text.trim().split('\n')
  const hint = rest.join(' ').replace(/^\((.*)\)$/, '$1')
  const fault = first.replace(/\.$/, '').replaceAll("'", '"')
  return `${fault}${hint ? `; ${hint.charAt(0).toLowerCase()}${hint.slice(1)}` : '; --help shows how it is used'}\n`
}

function version(): string {
  return JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version
}
