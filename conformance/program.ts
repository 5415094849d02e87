import { spawn } from 'node:child_process'

export interface ProgramOutcome {
  status: number
  stdout: string
  stderr: string
}

export interface ProgramOptions {
  cwd?: string
  environment?: Record<string, string>
  input?: string
  timeoutSeconds?: number
}

/** Runs a program to its end without holding up the server that this process serves. Never throws: -1 is no start. */
export function runProgram(
  command: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramOutcome> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.environment },
    timeout: (options.timeoutSeconds ?? 60) * 1000,
    killSignal: 'SIGKILL',
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (chunk) => (stdout += chunk))
  child.stderr.setEncoding('utf8').on('data', (chunk) => (stderr += chunk))
  child.stdin.on('error', () => {})
  child.stdin.end(options.input ?? '')
  return new Promise((resolve) => {
    child.on('error', (error) => resolve({ status: -1, stdout, stderr: error.message }))
    child.on('close', (status, signal) =>
      resolve({ status: status ?? -1, stdout, stderr: signal ? `${stderr}\nended by ${signal}` : stderr }),
    )
  })
}

/** As `runProgram`, with JSON in and out. @throws Error with what the program said when it failed */
// biome-ignore lint/suspicious/noExplicitAny: tests look into what the other side's program found
export async function askProgram(command: string, args: readonly string[], options: ProgramOptions): Promise<any> {
  const { status, stdout, stderr } = await runProgram(command, args, options)
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}: ${stderr.slice(-2000)}`)
  return JSON.parse(stdout)
}
