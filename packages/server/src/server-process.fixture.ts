import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { startTestServer } from './server.fixture.ts'

export interface ServerProcess {
  url: string
  pid: number
  /** SIGKILL: no handler runs, nothing is flushed */
  kill(): Promise<void>
}

interface ProcessSettings {
  databaseUrl: string
  masterKey: string
  issuer: string
  /** Made at start when it is not there yet */
  clientId?: string
}

/** A server in a process of its own, so that it can be killed; resolves when it listens. */
export async function spawnServer(settings: ProcessSettings): Promise<ServerProcess> {
  const child = spawn(
    process.execPath,
    [
      '--conditions=source',
      '--disable-warning=ExperimentalWarning',
      fileURLToPath(import.meta.url),
      JSON.stringify(settings),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const { url } = JSON.parse(await firstLine(child))
  return {
    url,
    pid: child.pid as number,
    async kill() {
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    },
  }
}

async function firstLine(child: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) return line
  throw new Error('the server process ended before it listened')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = await startTestServer(JSON.parse(process.argv[2] as string))
  console.log(JSON.stringify({ url: server.url }))
}
