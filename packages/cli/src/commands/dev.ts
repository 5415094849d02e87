import type { Command } from 'commander'
import { wrongUse } from '../cli-error.ts'
import { leaf } from '../command.ts'
import { serveUntilSignal } from '../serve-until-signal.ts'

interface DevOptions {
  port: number
  dataDir: string
  json?: boolean
  withAgent?: boolean
}

export function devCommand(program: Command, description: string): void {
  leaf(program, 'dev', description, 'countersign dev --port 9000')
    .option('--port <port>', 'where to listen', portOption, 8080)
    .option('--data-dir <dir>', 'where to keep its data and secrets', '.countersign')
    .option('--with-agent', 'also an agent on this machine, and an identity for what runs as your user')
    .action(async ({ port, dataDir, json = false, withAgent = false }: DevOptions) => {
      const { runPlayground } = await import('../playground/run-playground.ts')
      await serveUntilSignal(() => runPlayground({ port, dataDir, json, withAgent }))
    })
}

function portOption(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 65_535)
    throw wrongUse(`--port ${JSON.stringify(text)} is no port; give a number from 1 to 65535`)
  return port
}
