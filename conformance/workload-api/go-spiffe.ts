import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { goProgram } from '../go.ts'
import { askProgram } from '../program.ts'

export interface GoSpiffe {
  /** Where the built program lies, for selectors that name it. */
  readonly program: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look into what the program found
  ask(command: string, input: object, socketPath?: string): Promise<any>
  /** Starts a command that goes on, and gives its lines as they come. */
  start(command: string, input: object, socketPath: string): RunningGo
}

export interface RunningGo {
  readonly pid: number
  // biome-ignore lint/suspicious/noExplicitAny: as above
  next(): Promise<any>
  /** Ends it and waits until it has ended. */
  stop(): Promise<void>
}

/** The program of workload-api/go: go-spiffe on the side of the workload. @throws MissingRuntime */
export async function prepareGoSpiffe(): Promise<GoSpiffe> {
  const program = await goProgram(fileURLToPath(new URL('go/', import.meta.url)))
  const environment = (socketPath?: string): Record<string, string> =>
    socketPath === undefined ? {} : { SPIFFE_ENDPOINT_SOCKET: `unix://${socketPath}` }
  return {
    program,
    ask: (command, input, socketPath) =>
      askProgram(program, [command], { input: JSON.stringify(input), environment: environment(socketPath) }),
    start: (command, input, socketPath) => startGo(program, command, input, environment(socketPath)),
  }
}

function startGo(program: string, command: string, input: object, environment: Record<string, string>): RunningGo {
  const child = spawn(program, [command], {
    env: { ...process.env, ...environment },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.stdin.on('error', () => {})
  child.stdin.end(JSON.stringify(input))
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  return {
    pid: child.pid as number,
    async next() {
      const { value, done } = await lines.next()
      if (done) throw new Error(`go-spiffe ${command} has ended`)
      return JSON.parse(value)
    },
    async stop() {
      child.kill('SIGKILL')
      await exited
    },
  }
}
