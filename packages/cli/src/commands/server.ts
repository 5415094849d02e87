import type { Command } from 'commander'
import { leaf } from '../command.ts'
import { serveUntilSignal } from '../serve-until-signal.ts'

export function serverCommand(program: Command, description: string): void {
  leaf(
    program,
    'server',
    description,
    'COUNTERSIGN_MASTER_KEY_FILE=/run/secrets/master-key countersign server --config /etc/countersign/countersign.yaml',
  )
    .option(
      '--config <file>',
      'the configuration (default: countersign.yaml, if there is one); COUNTERSIGN_* wins over it',
    )
    .action(async ({ config }: { config?: string }) => {
      const { runServer } = await import('@countersign/server')
      await serveUntilSignal(() => runServer({ config }))
    })
}
