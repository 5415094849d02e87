import { withAdminApi } from '../admin-api.ts'
import { CliError } from '../cli-error.ts'
import type { ServerOptions } from '../command.ts'
import { note, printJson } from '../output.ts'
import type { Entry } from '../resources.ts'
import { ServerRefusal } from '../server-answer.ts'
import { readSpireEntries } from './spire-entries.ts'

/** Creates the entries of a SPIRE server here; those that are here already stay as they are. */
export async function importEntries(file: string, options: ServerOptions): Promise<void> {
  const entries = await readSpireEntries(file)
  const created: Entry[] = []
  const refused: string[] = []
  let present = 0
  await withAdminApi(options, async (admin) => {
    for (const [index, entry] of entries.entries()) {
      try {
        created.push(await admin.send<Entry>('POST', '/entries', entry))
      } catch (error) {
        if (!(error instanceof ServerRefusal)) throw error
        if (error.status === 409 && error.reason !== 'no_trust_domain') present += 1
        else if (error.status === 422) refused.push(`${entry.spiffe_id}: ${error.message}`)
        else throw error
      }
      if (process.stderr.isTTY) process.stderr.write(`\r${index + 1} of ${entries.length} entries`)
    }
  })
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  if (options.json) printJson({ created: created.length, present, refused })
  else note(`${created.length} ${created.length === 1 ? 'entry' : 'entries'} created, ${present} here already.`)
  for (const why of options.json ? [] : refused) note(`not taken: ${why}`)
  if (refused.length > 0) throw new CliError(`${refused.length} of ${entries.length} entries were not taken`)
}
