import { CommanderError } from 'commander'
import { CliError } from './cli-error.ts'
import { createProgram } from './program.ts'

/** Runs one command. @returns the exit code: 0 done, 1 the operation failed, 2 wrong use */
export async function run(args: readonly string[]): Promise<number> {
  // `countersign api list | head -1` ends when head does, without a word.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
  const program = await createProgram(args)
  try {
    await program.parseAsync(args, { from: 'user' })
    return Number(process.exitCode ?? 0)
  } catch (error) {
    return report(error)
  }
}

function report(error: unknown): number {
  if (error instanceof CommanderError) {
    // Help that was asked for is no error; help because words are missing is.
    return error.code === 'commander.helpDisplayed' || error.code === 'commander.version' ? 0 : 2
  }
  if (error instanceof CliError) {
    process.stderr.write(`error: ${error.message}\n`)
    return error.exitCode
  }
  process.stderr.write(`error: ${sentence(error)}\n`)
  if (process.env.COUNTERSIGN_DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`)
  return 1
}

const ownErrors = [
  'StoreError',
  'TokenError',
  'ClientError',
  'OutboundError',
  'ConfigError',
  'LimitsError',
  'SpiffeError',
  'AgentError',
  'AgentSettingsError',
]

/** Errors of our own packages are sentences; anything else is a fault of this program, told without its trace. */
function sentence(error: unknown): string {
  if (!(error instanceof Error)) return 'something failed that is not even an error; please report it'
  if (ownErrors.includes(error.name)) return error.message
  const { code, path } = error as NodeJS.ErrnoException
  if (code !== undefined && path !== undefined)
    return `${path} cannot be used (${code}); check that its folder exists and that you may`
  if (error.name === 'Error' && error.message !== '') return error.message
  return `${error.message || error.name}; set COUNTERSIGN_DEBUG=1 to see where this happened`
}
