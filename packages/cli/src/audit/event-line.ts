import { type OutputOptions, paint, shortened, writeLine } from '../output.ts'
import { printable, printableJson } from '../printable.ts'
import type { AuditEvent } from '../resources.ts'

/** One event a line: JSON as the admin API shows it, or columns for the eye. */
export function printEvent(event: AuditEvent, options: OutputOptions): void {
  writeLine(options.json ? printableJson(event) : eventLine(event))
}

function eventLine(event: AuditEvent): string {
  const outcome = event.outcome === 'success' ? paint('green', 'ok  ') : paint('red', 'FAIL')
  const who = [event.client_id ?? '-', event.address ?? '-']
  const what = [
    event.target,
    ...identitiesOf(event),
    event.audience,
    event.scope === undefined ? undefined : shortened(event.scope.split(' '), ' '),
    event.reason,
    event.count && event.count > 1 ? `x${event.count}` : undefined,
  ]
  const columns = [
    paint('dim', event.time),
    outcome,
    printable(event.type).padEnd(22),
    printable(who[0]!).padEnd(20),
    printable(who[1]!).padEnd(15),
    what
      .filter(Boolean)
      .map((text) => printable(String(text)))
      .join('  '),
  ]
  return columns.join('  ').trimEnd()
}

/** Whom an event of workload identity is about; its target is an entry or a node by its id. */
function identitiesOf({ detail }: AuditEvent): string[] {
  const { spiffe_id: one, spiffe_ids: several } = detail ?? {}
  const ids = Array.isArray(several) ? several : [one]
  return ids.filter((id) => typeof id === 'string').slice(0, 5)
}
