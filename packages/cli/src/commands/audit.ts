import { type Command, Option } from 'commander'
import { type AdminApi, withAdminApi } from '../admin-api.ts'
import { printEvent } from '../audit/event-line.ts'
import { wrongUse } from '../cli-error.ts'
import { countOption, group, pastOption, type ServerOptions, serverLeaf } from '../command.ts'
import { note, paint, printJson, printList, writeLine } from '../output.ts'
import { printable } from '../printable.ts'
import type { AuditEvent, AuditHead } from '../resources.ts'

interface FilterOptions extends Omit<ServerOptions, 'clientId'> {
  /** Who to be */
  as?: string
  type?: string
  /** Whose events */
  clientId?: string
  outcome?: string
  chain?: string
}

interface SearchOptions extends FilterOptions {
  since?: string
  until?: string
  order: string
  limit: number
  cursor?: string
}

interface VerifyOptions extends ServerOptions {
  file?: string
  key?: string
  head?: string
}

export function auditCommands(program: Command, description: string): void {
  const audit = group(program, 'audit', description)

  filters(
    serverLeaf(
      audit,
      'tail',
      'show the last events and then each as it happens',
      'countersign audit tail --outcome failure',
      '--as',
    ),
  )
    .option('-n, --lines <count>', 'how many of the past', countOrNone, 10)
    .action(tail)

  filters(
    serverLeaf(
      audit,
      'search',
      'find events; --json prints one a line',
      'countersign audit search --type token.refused --since 1h\ncountersign audit search --order asc --limit 1000000 --json > audit.ndjson',
      '--as',
    ),
  )
    .option('--since <time>', 'not before; a time, a day, or how long ago, such as 1h', pastOption)
    .option('--until <time>', 'before', pastOption)
    .addOption(
      new Option('--order <order>', 'oldest (asc) or newest (desc) first').choices(['asc', 'desc']).default('desc'),
    )
    .option('--limit <count>', 'how many at most', countOption, 100)
    .option('--cursor <cursor>', 'go on where an earlier search stopped')
    .action(search)

  serverLeaf(
    audit,
    'head',
    "show how far each chain reaches, signed: keep it where the server's administrators cannot reach",
    'countersign audit head --json > audit-head.json',
  ).action(head)

  serverLeaf(
    audit,
    'verify [file]',
    'check that no event was edited, removed, reordered or inserted; exit 1 and the place if one was',
    'countersign audit verify --head audit-head.json\ncountersign audit verify audit.ndjson --head audit-head.json',
  )
    .option('--file <file>', 'check this export, offline, instead of the server')
    .option('--head <file>', 'a head noted earlier with countersign audit head --json')
    .option('--key <file>', 'the public audit key (JWK or PEM); default: as noted with the head, or as the server says')
    .action(verify)
}

function filters(command: Command): Command {
  return command
    .option('--type <type>', 'only events of this type, such as token.issued')
    .option('--client-id <id>', 'only events of this client')
    .addOption(new Option('--outcome <outcome>', 'only events that ended so').choices(['success', 'failure']))
    .option('--chain <chain>', 'only events of this chain')
}

async function tail(options: FilterOptions & { lines: number }): Promise<void> {
  const { followEvents } = await import('../audit/follow.ts')
  const ended = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ended.abort())
  await withAdminApi(serverOptions(options), async (admin) => {
    try {
      for await (const event of followEvents(admin, queryOf(options), options.lines, ended.signal))
        printEvent(event, options)
    } catch (error) {
      // Being told to stop is how watching ends.
      if (!ended.signal.aborted) throw error
    }
  })
}

async function search(options: SearchOptions): Promise<void> {
  const { since, until, order, limit, cursor } = options
  const query = { ...queryOf(options), since, until, order }
  let found = 0
  await withAdminApi(serverOptions(options), async (admin) => {
    for await (const event of admin.each<AuditEvent>('/audit-events', { limit, cursor, query })) {
      printEvent(event, options)
      found += 1
    }
  })
  if (options.json) return
  if (found === 0) note('No events match.')
  else if (found === limit)
    note(`These are the first ${limit}; ask for more with --limit, or narrow it with --since and --type.`)
}

async function head(options: ServerOptions): Promise<void> {
  const page = await withAdminApi(options, (admin) => readHeads(admin))
  printList(page, options, [
    { title: 'CHAIN', value: (item) => item.chain },
    { title: 'EVENTS', value: (item) => item.sequence },
    { title: 'AT', value: (item) => item.time },
    { title: 'HASH', value: (item) => item.hash },
  ])
}

function readHeads(admin: AdminApi): Promise<{ items: AuditHead[]; next: null; public_jwk: object }> {
  return admin.get('/audit-events/heads')
}

async function verify(argument: string | undefined, options: VerifyOptions): Promise<void> {
  if (argument !== undefined && options.file !== undefined)
    throw wrongUse('the file to check is given twice; give it once')
  const file = argument ?? options.file
  const { verifyFile, verifyLive } = await import('../audit/verify.ts')
  const progress = counting()
  const { broken, chains, caveats } =
    file === undefined
      ? await withAdminApi(options, (admin) => verifyLive(admin, options, progress.count))
      : await verifyFile(file, options)
  progress.end()
  if (broken.length > 0) process.exitCode = 1
  if (options.json) return printJson({ holds: broken.length === 0, chains, broken, caveats })
  for (const { chain, sequence } of chains) {
    if (!broken.some((place) => place.chain === chain))
      writeLine(`${paint('green', 'whole ')}  chain "${printable(chain)}", ${sequence} events`)
  }
  for (const { chain, message } of broken) {
    const place = message.startsWith('chain ') ? message : `chain "${chain}": ${message}`
    writeLine(`${paint('red', 'BROKEN')}  ${printable(place)}`)
  }
  for (const caveat of caveats) note(printable(caveat))
  if (chains.length === 0) note('There are no events to check.')
}

/** On a terminal, how far it has come; in a pipe, nothing. */
function counting(): { count: () => void; end: () => void } {
  const visible = process.stderr.isTTY === true
  let events = 0
  return {
    count() {
      events += 1
      if (visible && events % 1000 === 0) process.stderr.write(`\r${events} events checked ...`)
    },
    end() {
      if (visible && events >= 1000) process.stderr.write('\r\u001b[K')
    },
  }
}

function serverOptions({ as, clientId: _filter, ...options }: FilterOptions): ServerOptions {
  return { ...options, ...(as !== undefined && { clientId: as }) }
}

function queryOf({ type, clientId, outcome, chain }: FilterOptions): Record<string, string | undefined> {
  return { type, client_id: clientId, outcome, chain }
}

function countOrNone(text: string): number {
  return text === '0' ? 0 : countOption(text)
}
