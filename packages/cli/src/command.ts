import { type Command, InvalidArgumentError, Option } from 'commander'
import { CliError } from './cli-error.ts'
import type { ConnectionOptions } from './connection.ts'
import { secondsOf } from './duration.ts'
import { parseInstant } from './instant.ts'
import type { OutputOptions } from './output.ts'

export interface ServerOptions extends ConnectionOptions, OutputOptions {}

export interface ListOptions extends ServerOptions {
  limit: number
  cursor?: string
}

/** Adds a command that only holds others. */
export function group(parent: Command, name: string, description: string): Command {
  return parent.command(name).description(description).helpCommand(false)
}

/** Adds a command that does something: with `--json`, and an example in its help. */
export function leaf(parent: Command, usage: string, description: string, example: string): Command {
  return parent
    .command(usage)
    .description(description)
    .addOption(new Option('--json', 'print JSON').helpGroup('Output:'))
    .addHelpText(
      'after',
      `\nExample:\n${example
        .split('\n')
        .map((line) => `  $ ${line}`)
        .join('\n')}`,
    )
}

/**
 * Adds a command that talks to the server, with the options that say where and as whom.
 * @param identity the option that says as whom, where `--client-id` means something else
 */
export function serverLeaf(
  parent: Command,
  usage: string,
  description: string,
  example: string,
  identity: '--client-id' | '--as' = '--client-id',
): Command {
  const group = 'Server (default: what countersign login saved):'
  return leaf(parent, usage, description, example)
    .addOption(new Option('--url <url>', 'the server; also COUNTERSIGN_URL').helpGroup(group))
    .addOption(new Option(`${identity} <id>`, 'who to be; also COUNTERSIGN_CLIENT_ID').helpGroup(group))
    .addOption(
      new Option(
        '--client-secret-file <file>',
        'holds the secret, - is stdin; also COUNTERSIGN_CLIENT_SECRET(_FILE)',
      ).helpGroup(group),
    )
    .addOption(
      new Option(
        '--private-key-file <file>',
        'instead of a secret (JWK or PEM); also COUNTERSIGN_PRIVATE_KEY_FILE',
      ).helpGroup(group),
    )
    .addOption(new Option('--allow-http', 'send the credential unencrypted to another machine').helpGroup(group))
}

/** Adds a command that lists, with the options that page. */
export function listLeaf(parent: Command, usage: string, description: string, example: string): Command {
  return serverLeaf(parent, usage, description, example)
    .option('--limit <count>', 'how many at most', countOption, 100)
    .option('--cursor <cursor>', 'go on where an earlier list stopped')
}

/** For options that may be given several times. */
export function repeated(value: string, earlier: string[] = []): string[] {
  return [...earlier, value]
}

export function countOption(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It must be a whole number from 1 up.')
  return Number(text)
}

/** Seconds */
export function durationOption(text: string): number {
  return asArgumentError(() => secondsOf(text, 'the duration'))
}

/** RFC 3339; a duration counts back from now. */
export function pastOption(text: string): string {
  return asArgumentError(() => parseInstant(text, 'the time', 'past'))
}

/** RFC 3339; a duration counts on from now. */
export function futureOption(text: string): string {
  return asArgumentError(() => parseInstant(text, 'the time', 'future'))
}

/** commander puts the option's name before it. */
function asArgumentError<Value>(parse: () => Value): Value {
  try {
    return parse()
  } catch (error) {
    if (error instanceof CliError) throw new InvalidArgumentError(`${error.message}.`)
    throw error
  }
}
