import type { AgentStatus, Explanation } from '@countersign/agent'
import { CliError } from '../cli-error.ts'
import { formatInstant } from '../instant.ts'
import { note, type OutputOptions, paint, printJson, printResource, writeLine } from '../output.ts'
import { printable } from '../printable.ts'
import { askAgent } from './agent-socket.ts'

/** Asks the agent on this machine what it sees of a process, and prints it. */
export async function explainProcess(pid: number, options: OutputOptions & { agent?: string }): Promise<void> {
  const explanation = await askAgent<Explanation>(options.agent, `/v1/explain/${pid}`)
  const status = await askAgent<AgentStatus>(options.agent, '/v1/status')
  const node = status.spiffe_id
  if (options.json) {
    printJson(explanation)
    return
  }
  printResource(explanation, options, [
    ['process', explanation.pid],
    ['runs as', `uid ${explanation.uid}, gid ${explanation.gid}`],
    ['binary', explanation.path],
  ])
  writeLine(`\n${paint('bold', 'What the agent sees')}`)
  for (const selector of explanation.selectors) writeLine(`  ${printable(selector)}`)
  for (const problem of explanation.problems) writeLine(`  ${paint('yellow', 'not known:')} ${printable(problem)}`)
  writeLine(`\n${paint('bold', 'Entries of this node')}${node === null ? '' : `  ${paint('dim', printable(node))}`}`)
  if (status.last_sync !== null) writeLine(paint('dim', `as the server had them at ${formatInstant(status.last_sync)}`))
  for (const entry of explanation.entries) printEntry(entry)
  if (status.last_sync === null) {
    throw new CliError(
      `the agent has not heard from its server ${printable(status.server)} yet and knows no entries; why, its log says`,
    )
  }
  if (explanation.entries.length === 0) {
    const parent = node === null ? 'NODE' : printable(node)
    throw new CliError(`this node has no entries; make one with: countersign workload create --parent-id ${parent} …`)
  }
  if (!explanation.entries.some(({ matched }) => matched)) {
    note('\nThis process has no identity. The first entry above is the one that fits it best.')
    note(
      'One that is missing here has another parent than this node, has ended, or demands a node that was attested later: countersign audit search --type entry.withheld',
    )
  }
}

type ExplainedEntry = Explanation['entries'][number]

function printEntry(entry: ExplainedEntry): void {
  const sign = entry.matched ? paint('green', '✓') : paint('red', '✗')
  writeLine(`  ${sign} ${printable(entry.spiffe_id)}  ${paint('dim', entry.id)}`)
  for (const selector of entry.missing_selectors) writeLine(`      not seen: ${printable(selector)}`)
  for (const failure of entry.policy_failures) writeLine(`      policy: ${printable(failure)}`)
  if (entry.problem) writeLine(`      the server does not sign for it: ${printable(entry.problem)}`)
}
