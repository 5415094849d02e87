import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WorkloadError } from '../process/workload-error.ts'
import { type Callers, callerCode, ended, startCallers, withoutRoot } from './callers.fixture.ts'
import { peerOf } from './peer-of.ts'
import { descriptorOf, socketCredentials } from './socket-credentials.ts'

const lastPid = '/proc/sys/kernel/ns_last_pid'

describe('peerOf', () => {
  let callers: Callers
  beforeEach(async () => {
    callers = await startCallers()
  })
  afterEach(() => callers.close())

  it('names the process at the other end with its user and group', async () => {
    const { child, socket } = await callers.connected()
    const peer = peerOf(socket)
    expect(peer).toMatchObject({ pid: child.pid, uid: process.geteuid?.(), gid: process.getegid?.() })
    expect(peer.startTime).toMatch(/^\d+$/)
    expect(peer.isAlive()).toBe(true)
    expect(() => peer.check()).not.toThrow()
  })

  it.skipIf(withoutRoot)('names a caller of another user (needs root)', async () => {
    const { socket } = await callers.connected({ uid: 12_345, gid: 678 })
    expect(peerOf(socket)).toMatchObject({ uid: 12_345, gid: 678 })
  })

  it('knows that a process has ended, though its child holds the connection', async () => {
    const accepted = callers.accepted()
    const child = callers.start(`const socket = connect(() => {
      require('node:child_process').spawn('sleep', ['2'], { stdio: [socket, 'ignore', 'ignore'], detached: true })
      process.stdin.once('data', () => process.exit())
    })`)
    const socket = await accepted
    const peer = peerOf(socket)
    child.stdin?.write('\n')
    await ended(child)
    expect(socket.readableEnded).toBe(false)
    expect(peer.isAlive()).toBe(false)
    expect(() => peer.check()).toThrow(expect.objectContaining({ code: 'ended_process' }))
  })

  it('refuses a connection whose process ended before it was accepted', async () => {
    const accepted = callers.accepted()
    runToItsEnd('connect(() => process.exit())', callers.folder)
    const socket = await accepted
    expect(() => peerOf(socket)).toThrow(expect.objectContaining({ code: 'ended_process' }))
  })

  it.skipIf(withoutRoot || !existsSync(lastPid))(
    'does not take another process for the caller that got its pid before the connection was accepted (needs root)',
    async () => {
      const [socket, other] = await reused(async () => {
        const accepted = callers.accepted()
        const pid = runToItsEnd(
          `require('node:fs').writeSync(1, String(process.pid)); connect(() => process.exit())`,
          callers.folder,
        )
        const child = startWithPid(callers, Number(pid))
        return [await accepted, child]
      })
      const credentials = socketCredentials(socket)
      try {
        expect(credentials.pid).toBe(other.pid)
        // Kernels before 6.5 cannot know.
        if (credentials.stillThere() === undefined) return
        expect(() => peerOf(socket)).toThrow(expect.objectContaining({ code: 'ended_process' }))
      } finally {
        credentials.release()
      }
    },
  )

  it.skipIf(withoutRoot || !existsSync(lastPid))(
    'does not take another process for the caller that got its pid later (needs root)',
    async () => {
      const [peer, other] = await reused(async () => {
        const { child, socket } = await callers.connected()
        const peer = peerOf(socket)
        child.kill('SIGKILL')
        await ended(child)
        return [peer, startWithPid(callers, peer.pid)]
      })
      expect(other.pid).toBe(peer.pid)
      expect(readFileSync(`/proc/${peer.pid}/stat`, 'utf8')).not.toBe('')
      expect(peer.isAlive()).toBe(false)
      expect(() => peer.check()).toThrow(WorkloadError)
    },
  )

  it('refuses a process that runs another program than when it connected', async () => {
    const { child, socket } = await callers.connected({
      code: `process.execve('/bin/sleep', ['sleep', '5'])`,
    })
    const peer = peerOf(socket)
    child.stdin?.write('\n')
    await expect.poll(() => readFileSync(`/proc/${peer.pid}/comm`, 'utf8')).toBe('sleep\n')
    expect(peer.isAlive()).toBe(true)
    expect(() => peer.check()).toThrow(expect.objectContaining({ code: 'changed_process' }))
    expect(() => peer.openExecutable()).toThrow(expect.objectContaining({ code: 'changed_process' }))
  })

  it.skipIf(withoutRoot)('refuses a process that changed its user since it connected (needs root)', async () => {
    const { child, socket } = await callers.connected({
      code: `process.setuid(12345); process.stdout.write('changed')`,
    })
    const peer = peerOf(socket)
    expect(peer.uid).toBe(0)
    child.stdin?.write('\n')
    await new Promise((resolve) => child.stdout?.once('data', resolve))
    expect(() => peer.check()).toThrow(expect.objectContaining({ code: 'changed_process' }))
  })

  it('says what to do when /proc does not show the caller', async () => {
    const { socket } = await callers.connected()
    expect(() => peerOf(socket, { procRoot: callers.folder })).toThrow(/hidepid/)
  })

  it('refuses a connection that is closed already', async () => {
    const { socket } = await callers.connected()
    socket.destroy()
    expect(() => peerOf(socket)).toThrow(expect.objectContaining({ code: 'unknown_peer' }))
  })

  it('refuses a connection that is not of a Unix socket', async () => {
    const { createServer } = await import('node:net')
    const server = createServer().listen(0, '127.0.0.1')
    const socket = await new Promise<import('node:net').Socket>((resolve) => {
      server.once('connection', resolve)
      server.once('listening', () => connect((server.address() as { port: number }).port, '127.0.0.1').unref())
    })
    try {
      expect(() => peerOf(socket)).toThrow(expect.objectContaining({ code: 'unknown_peer' }))
    } finally {
      socket.destroy()
      server.close()
    }
  })

  it('leaves no descriptor open', async () => {
    const { readdirSync } = await import('node:fs')
    const { socket } = await callers.connected()
    peerOf(socket)
    const before = readdirSync('/proc/self/fd').length
    for (let count = 0; count < 50; count++) peerOf(socket)
    expect(readdirSync('/proc/self/fd')).toHaveLength(before)
  })

  it('finds the descriptor of a socket where Node keeps it', async () => {
    const { socket } = await callers.connected()
    expect(readFileSync(`/proc/self/fdinfo/${descriptorOf(socket)}`, 'utf8')).toMatch(/^ino:/m)
  })
})

/** Runs a caller while this process accepts nothing, and gives back what it printed. */
function runToItsEnd(code: string, cwd: string): string {
  return execFileSync(process.execPath, ['-e', callerCode(code)], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

/** On a busy machine another process may have the pid first, and keep it: then it is tried with another caller. */
async function reused<Held, Other>(attempt: () => Promise<[Held, Other | undefined]>): Promise<[Held, Other]> {
  for (let count = 0; count < 20; count += 1) {
    const [held, other] = await attempt()
    if (other !== undefined) return [held, other]
  }
  throw new Error('no process got the pid of one that had ended')
}

/** Starts processes until one has this pid, by what checkpoint and restore use; undefined where somebody else has it. */
function startWithPid(callers: Callers, pid: number) {
  for (let attempt = 0; attempt < 50; attempt++) {
    writeFileSync(lastPid, String(pid - 1))
    const child = callers.start('')
    if (child.pid === pid) return child
    child.kill('SIGKILL')
  }
  return undefined
}
