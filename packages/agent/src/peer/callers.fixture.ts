import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Other users, control groups and mounts can only be had by root: such tests name it, and `npm test` says that they were left out. */
export const withoutRoot = process.getuid?.() !== 0

export interface Callers {
  readonly folder: string
  readonly socketPath: string
  /** The next connection that is accepted. */
  accepted(): Promise<net.Socket>
  /** A Node process in the folder; its code has `connect(callback)`, and ends with the test. */
  start(code: string, options?: { uid?: number; gid?: number }): ChildProcess
  /** A process that connects as this user, stays, and runs `code` when a line comes in; with the accepted connection. */
  connected(options?: {
    uid?: number
    gid?: number
    code?: string
  }): Promise<{ child: ChildProcess; socket: net.Socket }>
  close(): Promise<void>
}

/** A Unix socket that everybody may connect to, and processes that do. */
export async function startCallers(): Promise<Callers> {
  const folder = mkdtempSync(join(tmpdir(), 'callers-'))
  chmodSync(folder, 0o755)
  const socketPath = join(folder, 'agent.sock')
  const waiting: ((socket: net.Socket) => void)[] = []
  const connections: net.Socket[] = []
  const children: ChildProcess[] = []
  const server = net.createServer((socket) => {
    socket.on('error', () => {})
    connections.push(socket)
    waiting.shift()?.(socket)
  })
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  chmodSync(socketPath, 0o777)

  const callers: Callers = {
    folder,
    socketPath,
    accepted: () => new Promise((resolve) => waiting.push(resolve)),
    start(code, { uid, gid } = {}) {
      const child = spawn(process.execPath, ['-e', callerCode(code, uid, gid)], {
        cwd: folder,
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      children.push(child)
      return child
    },
    async connected({ code = '', ...user } = {}) {
      const accepted = callers.accepted()
      const child = callers.start(`connect(() => process.stdin.once('data', () => { ${code} }))`, user)
      return { child, socket: await accepted }
    },
    async close() {
      for (const child of children) child.kill('SIGKILL')
      for (const connection of connections) connection.destroy()
      await new Promise((resolve) => server.close(resolve))
      rmSync(folder, { recursive: true, force: true })
    },
  }
  return callers
}

/** The user is changed from within, so that he need not be able to read where Node lies; the socket is named from its folder. */
export function callerCode(code: string, uid?: number, gid?: number): string {
  return `
    process.stdin.resume()
    ${gid === undefined ? '' : `process.setgroups([]); process.setgid(${gid})`}
    ${uid === undefined ? '' : `process.setuid(${uid})`}
    const connect = (callback) => require('node:net').connect('agent.sock', callback)
    ${code}`
}

/** Resolves with the child's end. */
export function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) =>
    (child.exitCode ?? child.signalCode) === null ? child.once('exit', () => resolve()) : resolve(),
  )
}
