import { runPlayground } from './playground/run-playground.ts'

const value = (name: string, otherwise: string) => {
  const at = process.argv.indexOf(name)
  return at < 0 ? otherwise : (process.argv[at + 1] as string)
}
try {
  const server = await runPlayground({
    port: Number(value('--port', '8080')),
    dataDir: value('--data-dir', '.countersign'),
    json: process.argv.includes('--json'),
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void server.close())
} catch (error) {
  console.error((error as Error).message)
  process.exit(1)
}
