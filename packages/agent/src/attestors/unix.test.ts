import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { type Callers, startCallers, withoutRoot } from '../peer/callers.fixture.ts'
import { peerOf } from '../peer/peer-of.ts'
import { pinProcess, type WorkloadProcess } from '../process/workload-process.ts'
import { createAccountNames } from './account-names.ts'
import { writeMapped } from './mapped-memory.fixture.ts'
import { runProgram, withoutUserNamespaces } from './programs.fixture.ts'
import { createUnixAttestor } from './unix.ts'
import { attestWorkload, type WorkloadAttestor } from './workload-attestor.ts'

const sha256 = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex')

describe('the unix attestor', () => {
  let callers: Callers
  beforeEach(async () => {
    callers = await startCallers()
  })
  afterEach(() => callers.close())

  const attest = async (workload: WorkloadProcess, attestor: WorkloadAttestor = createUnixAttestor()) => {
    const { selectors, problems } = await attestWorkload([attestor], workload)
    return {
      values: selectors.map(({ type, value }) => `${type}:${value}`),
      problems: problems.map(({ problem }) => problem),
    }
  }
  /** A copy of a small program that runs on until the test ends; `before` comes between it and its command line. */
  const running = async (program: string, before: readonly string[] = []) => {
    const child = await runProgram([...before, program, '60'], program)
    const [uid, gid] = [process.geteuid?.() as number, process.getegid?.() as number]
    return { child, workload: pinProcess({ pid: child.pid as number, uid, gid }) }
  }
  const copyOfSleep = (name: string) => {
    const file = join(callers.folder, name)
    copyFileSync('/bin/sleep', file)
    chmodSync(file, 0o755)
    return file
  }

  it('names user, group, path and hash of this very program', async () => {
    const { socket } = await callers.connected()
    const { values, problems } = await attest(peerOf(socket))
    expect(problems).toEqual([])
    const [uid, gid] = [process.geteuid?.(), process.getegid?.()]
    const program = process.execPath
    expect(values).toEqual(
      expect.arrayContaining([
        `unix:uid:${uid}`,
        `unix:gid:${gid}`,
        `unix:path:${program}`,
        `unix:sha256:${sha256(program)}`,
      ]),
    )
    if (uid === 0) expect(values).toEqual(expect.arrayContaining(['unix:user:root', 'unix:group:root']))
  })

  it.skipIf(withoutRoot)('names a caller of another user, and no name where there is none (needs root)', async () => {
    const { socket } = await callers.connected({ uid: 12_345, gid: 678 })
    const { values } = await attest(peerOf(socket))
    expect(values.filter((value) => !/path|sha256/.test(value))).toEqual(['unix:uid:12345', 'unix:gid:678'])
  })

  it('names users, groups and supplementary groups as passwd and group have them by now', async () => {
    const [passwd, group] = [join(callers.folder, 'passwd'), join(callers.folder, 'group')]
    writeFileSync(passwd, '# x\nfirst:x:7::\nsecond:x:7::\n:x:8\nnot a line\n')
    writeFileSync(group, '')
    const names = createAccountNames({ passwd, group })
    expect([await names.user(7), await names.user(8), await names.group(7)]).toEqual(['first', undefined, undefined])
    writeFileSync(group, 'staff:x:7:somebody\n')
    expect(await names.group(7)).toBe('staff')
    rmSync(group)
    expect(await names.group(7)).toBeUndefined()
  })

  it('hashes what runs, not what lies at its path since it was replaced on disk', async () => {
    const program = copyOfSleep('service')
    const hash = sha256(program)
    const { workload } = await running(program)
    expect((await attest(workload)).values).toEqual(
      expect.arrayContaining([`unix:path:${program}`, `unix:sha256:${hash}`]),
    )
    writeFileSync(`${program}.new`, 'something else')
    renameSync(`${program}.new`, program)
    const { values, problems } = await attest(workload)
    expect(values).toContain(`unix:sha256:${hash}`)
    expect(values.filter((value) => value.startsWith('unix:path'))).toEqual([])
    expect(problems).toEqual([`${program} was deleted or replaced since it was started: no unix:path`])
  })

  it.skipIf(!existsSync('/dev/shm'))(
    'does not take a program for the approved one whose place it took without a trace',
    async () => {
      const folder = mkdtempSync('/dev/shm/approved-')
      onTestFinished(() => rmSync(folder, { recursive: true }))
      const program = join(folder, 'service')
      const content = (byte: string) => Buffer.concat([readFileSync('/bin/sleep'), Buffer.alloc(4096, byte)])
      writeFileSync(program, content('A'), { mode: 0o755 })
      const attestor = createUnixAttestor()
      const approved = `unix:sha256:${sha256(program)}`
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 5_000 })
      onTestFinished(() => void vi.useRealTimers())
      const first = await running(program)
      expect((await attest(first.workload, attestor)).values).toContain(approved)
      first.child.kill('SIGKILL')
      await once(first.child, 'exit')
      writeMapped(program, content('B'))
      const second = await running(program)
      expect((await attest(second.workload, attestor)).values).toContain(`unix:sha256:${sha256(program)}`)
      expect((await attest(second.workload, attestor)).values).not.toContain(approved)
    },
  )

  it('hashes a binary that was deleted, and names no path for it', async () => {
    const program = copyOfSleep('service')
    const hash = sha256(program)
    const { workload } = await running(program)
    rmSync(program)
    const { values } = await attest(workload)
    expect(values).toContain(`unix:sha256:${hash}`)
    expect(values.join()).not.toContain('unix:path')
  })

  it('does not take a file that is named like a deleted one for the path before its suffix', async () => {
    const program = copyOfSleep('service (deleted)')
    const { workload } = await running(program)
    expect((await attest(workload)).values.join()).not.toContain('unix:path')
  })

  it('leaves the hash of a binary out that is larger than the limit', async () => {
    const program = copyOfSleep('service')
    const { workload } = await running(program)
    const { values, problems } = await attest(workload, createUnixAttestor({ maxBinaryBytes: 1000 }))
    expect(values).toContain(`unix:path:${program}`)
    expect(values.join()).not.toContain('sha256')
    expect(problems.join()).toMatch(/larger than 1000 bytes/)
  })

  it('does not read a huge binary at all, and answers in no time', async () => {
    const program = copyOfSleep('service')
    // A hole: eight terabytes that take no room.
    truncateSync(program, 8 * 2 ** 40)
    const { workload } = await running(program)
    const begin = performance.now()
    const { values } = await attest(workload)
    // Reading it would take an hour.
    expect(performance.now() - begin).toBeLessThan(20_000)
    expect(values.join()).not.toContain('sha256')
  })

  it('looks at no binary when told so', async () => {
    const { socket } = await callers.connected()
    const { values } = await attest(peerOf(socket), createUnixAttestor({ binary: false }))
    expect(values.join()).not.toMatch(/path|sha256/)
  })

  it.skipIf(withoutUserNamespaces())(
    'believes no path that a user made in a file tree of his own (needs user namespaces)',
    async () => {
      const [approved, wrong] = [copyOfSleep('approved'), copyOfSleep('wrong')]
      writeFileSync(wrong, 'appended', { flag: 'a' })
      const { workload } = await running(approved, [
        'unshare',
        '-Urm',
        'sh',
        '-c',
        `mount --bind ${wrong} ${approved} && exec "$@"`,
        'sh',
      ])
      const { values, problems } = await attest(workload)
      expect(values).not.toContain(`unix:path:${approved}`)
      expect(values).toContain(`unix:sha256:${sha256(wrong)}`)
      expect(problems.join()).toMatch(/a file tree that the workload may have made itself/)
    },
  )

  it.skipIf(withoutUserNamespaces())('nor one that is run from outside that tree (needs user namespaces)', async () => {
    const [approved, wrong] = [copyOfSleep('approved'), copyOfSleep('wrong')]
    writeFileSync(wrong, 'appended', { flag: 'a' })
    const holder = await running(approved, [
      'unshare',
      '-Urm',
      'sh',
      '-c',
      `mount --bind ${wrong} ${approved} && exec "$@"`,
      'sh',
    ])
    const outside = join('/proc', String(holder.child.pid), 'root', approved)
    const child = await runProgram([outside, '60'], approved)
    const [uid, gid] = [process.geteuid?.() as number, process.getegid?.() as number]
    const { values } = await attest(pinProcess({ pid: child.pid as number, uid, gid }))
    expect(values).not.toContain(`unix:path:${approved}`)
    expect(values.join()).not.toContain('sha256')
  })

  it.skipIf(withoutRoot)(
    'believes the path of a mount namespace that root made, as of a container (needs root)',
    async () => {
      const program = copyOfSleep('service')
      const { workload } = await running(program, ['unshare', '-m'])
      expect((await attest(workload)).values).toEqual(
        expect.arrayContaining([`unix:path:${program}`, `unix:sha256:${sha256(program)}`]),
      )
    },
  )

  it('gives no selector at all to a process that changes its program while it is looked at', async () => {
    const { child, socket } = await callers.connected({ code: `process.execve('/bin/sleep', ['sleep', '60'])` })
    const peer = peerOf(socket)
    const slow: WorkloadAttestor = {
      name: 'slow',
      async attest() {
        child.stdin?.write('\n')
        await expect.poll(() => readFileSync(`/proc/${peer.pid}/comm`, 'utf8')).toBe('sleep\n')
        return [{ type: 'slow', value: 'x' }]
      },
    }
    await expect(attestWorkload([slow], peer)).rejects.toMatchObject({ code: 'changed_process' })
  })

  it('tells what an attestor could not find out, and goes on with the others', async () => {
    const { socket } = await callers.connected()
    const broken: WorkloadAttestor = { name: 'broken', attest: () => Promise.reject(new Error('no such engine')) }
    const { selectors, problems } = await attestWorkload([broken, createUnixAttestor()], peerOf(socket))
    expect(problems).toEqual([{ attestor: 'broken', problem: 'no such engine' }])
    expect(selectors.length).toBeGreaterThan(3)
  })

  /** What an agent that is not root finds out of this process, which is. */
  const attestedByUser = async (before: readonly string[] = []) => {
    const script = fileURLToPath(new URL('attest-as-user.fixture.ts', import.meta.url))
    const command = [
      ...before,
      process.execPath,
      '--conditions=source',
      '--disable-warning=ExperimentalWarning',
      script,
    ]
    const agent = spawn(command[0] as string, command.slice(1), {
      cwd: callers.folder,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    agent.stdout.setEncoding('utf8')
    await new Promise((resolve) => agent.stdout.once('data', resolve))
    const answer = new Promise<string>((resolve) => agent.stdout.once('data', resolve))
    const socket = connect(join(callers.folder, 'user-agent.sock'))
    const found = JSON.parse(await answer)
    socket.destroy()
    return found
  }

  it.skipIf(withoutRoot)('says what an agent that is not root cannot look at (needs root)', async () => {
    const { selectors, problems } = await attestedByUser()
    expect(selectors.map(({ value }: { value: string }) => value)).toEqual(
      expect.arrayContaining(['uid:0', 'gid:0', 'user:root', 'group:root']),
    )
    expect(JSON.stringify(selectors)).not.toMatch(/path|sha256/)
    expect(problems).toEqual([{ attestor: 'unix', problem: expect.stringMatching(/cannot be looked at: EACCES/) }])
  })

  it.skipIf(withoutRoot)(
    'refuses a caller that a /proc with hidepid does not show, and says so (needs root)',
    async () => {
      const hidden = ['unshare', '-m', 'sh', '-c', 'mount -t proc -o hidepid=2 proc /proc && exec "$@"', 'sh']
      expect(await attestedByUser(hidden)).toMatch(/called, but \/proc does not show it to this agent.*hidepid/)
    },
  )
})
