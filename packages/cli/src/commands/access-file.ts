import type { Command } from 'commander'
import type { Step } from '../access-file/plan.ts'
import { type AdminApi, withAdminApi } from '../admin-api.ts'
import { CliError } from '../cli-error.ts'
import { type ServerOptions, serverLeaf } from '../command.ts'
import { note, printJson, writeLine } from '../output.ts'

interface ApplyOptions extends ServerOptions {
  file: string
  dryRun?: boolean
  prune?: boolean
}

export function applyCommand(program: Command, description: string): void {
  serverLeaf(
    program,
    'apply',
    description,
    'countersign apply -f access.yaml --dry-run\ncountersign apply -f access.yaml',
  )
    .requiredOption('-f, --file <file>', 'the access file (YAML), - is stdin')
    .option('--dry-run', 'show the difference, change nothing')
    .option('--prune', 'also delete what the file does not name; never the admin API, never the client you act as')
    .action(apply)
}

export function exportCommand(program: Command, description: string): void {
  serverLeaf(program, 'export', description, 'countersign export > access.yaml').action(exportAccess)
}

async function apply(options: ApplyOptions): Promise<void> {
  const { parseAccess } = await import('../access-file/parse-access.ts')
  const { readPresentAccess } = await import('../access-file/present-access.ts')
  const { planChanges } = await import('../access-file/plan.ts')
  const { countSteps, renderPlan } = await import('../access-file/render-plan.ts')
  const { readText } = await import('../read-text.ts')
  const { file, dryRun = false, prune = false } = options
  const access = parseAccess(
    await readText(file, 'APIs, clients, grants and entries as YAML'),
    file === '-' ? 'stdin' : file,
  )
  await withAdminApi(options, async (admin) => {
    const entries = access.entries.length > 0 ? 'all' : prune ? 'where possible' : 'none'
    const clientIds = access.clients.map(({ id }) => id)
    const present = await readPresentAccess(admin, prune ? { entries } : { clientIds, entries })
    const steps = planChanges(access, present, { prune, actingClient: admin.connection.clientId })
    if (!options.json && steps.length > 0) writeLine(renderPlan(steps))
    if (!dryRun) await makeChanges(steps, admin)
    if (options.json) return printJson({ applied: !dryRun, changes: steps.map(({ run: _run, ...told }) => told) })
    if (steps.length === 0) return writeLine('Nothing to change: the server is as the file says.')
    const words = dryRun
      ? { create: 'to create', update: 'to change', delete: 'to delete' }
      : { create: 'created', update: 'changed', delete: 'deleted' }
    writeLine(`\n${countSteps(steps, words)}.${dryRun ? ' Nothing was changed (--dry-run).' : ''}`)
    if (!dryRun) adviseOnCredentials(steps)
  })
}

async function makeChanges(steps: readonly Step[], admin: AdminApi): Promise<void> {
  let made = 0
  for (const step of steps) {
    try {
      await step.run(admin)
      made += 1
    } catch (error) {
      if (!(error instanceof CliError)) throw error
      throw new CliError(
        `${step.action} ${step.kind} ${step.name}: ${error.message} (${made} of ${steps.length} changes were made; apply again once this is mended)`,
      )
    }
  }
}

function adviseOnCredentials(steps: readonly Step[]): void {
  const created = steps.filter(({ action, kind }) => action === 'create' && kind === 'client')
  if (created[0])
    note(`New clients have no credential yet; give them one with: countersign client secret create ${created[0].name}`)
}

async function exportAccess(options: ServerOptions): Promise<void> {
  const { readPresentAccess } = await import('../access-file/present-access.ts')
  const { accessObject, formatAccess } = await import('../access-file/format-access.ts')
  const present = await withAdminApi(options, (admin) => readPresentAccess(admin, { entries: 'where possible' }))
  if (options.json) printJson(accessObject(present))
  else process.stdout.write(formatAccess(present))
}
