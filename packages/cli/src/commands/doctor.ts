import type { Command } from 'commander'
import { type ServerOptions, serverLeaf } from '../command.ts'
import { findUrl } from '../connection.ts'
import type { Finding } from '../doctor/finding.ts'
import { paint, printJson, writeLine } from '../output.ts'
import { printable } from '../printable.ts'

export function doctorCommand(program: Command, description: string): void {
  serverLeaf(
    program,
    'doctor',
    description,
    'countersign doctor --url https://auth.example.com\ncountersign doctor --config /etc/countersign/countersign.yaml',
  )
    .option('--config <file>', 'a server configuration to look at (default: countersign.yaml and COUNTERSIGN_*)')
    .action(doctor)
}

async function doctor(options: ServerOptions & { config?: string }): Promise<void> {
  const { examineConfig } = await import('../doctor/examine-config.ts')
  const findings = [...(await examineConfig(options.config)), ...(await examineRunning(options))]
  const problems = findings.filter(({ status }) => status === 'problem').length
  if (problems > 0) process.exitCode = 1
  if (options.json) return printJson({ healthy: problems === 0, findings })
  const marks = {
    ok: paint('green', 'ok     '),
    warning: paint('yellow', 'warning'),
    problem: paint('red', 'PROBLEM'),
    skipped: paint('dim', 'skipped'),
  }
  for (const { check, status, says, cure } of findings) {
    writeLine(`${marks[status]}  ${check.padEnd(12)}  ${printable(says)}`)
    if (cure) writeLine(`${' '.repeat(23)}${paint('dim', `-> ${printable(cure)}`)}`)
  }
  writeLine(problems === 0 ? '\nNothing is wrong.' : `\n${problems} ${problems === 1 ? 'problem' : 'problems'} found.`)
}

async function examineRunning(options: ServerOptions): Promise<Finding[]> {
  const url = await findUrl(options)
  if (url === undefined) {
    const cure = 'to look at one, give --url or run: countersign login'
    return [{ check: 'reachability', status: 'skipped', says: 'no running server is named', cure }]
  }
  const { examineServer } = await import('../doctor/examine-server.ts')
  const { examineAccess } = await import('../doctor/examine-access.ts')
  const seen = await examineServer(url)
  if (seen[0]?.status === 'problem') return seen
  return [...seen, ...(await examineAccess(options))]
}
