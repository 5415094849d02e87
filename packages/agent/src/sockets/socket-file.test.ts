import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { testFolder } from '../agent.fixture.ts'
import { listenOnSocketFile } from './socket-file.ts'

describe("the agent's socket", () => {
  it('has the mode that it should from the first moment, and is gone afterwards', async () => {
    const path = join(testFolder(), 'a', 'b', 'agent.sock')
    const close = await listenOnSocketFile(createServer(), path, { mode: 0o600 })
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(statSync(join(path, '..')).mode & 0o777).toBe(0o755)
    await close()
    expect(existsSync(path)).toBe(false)
  })

  it('takes the place of one that a killed agent left behind', async () => {
    const path = join(testFolder(), 'agent.sock')
    const leave = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
    spawnSync(process.execPath, ['-e', leave])
    expect(existsSync(path)).toBe(true)
    await listening(path)
  })

  it('is not taken from an agent that lives', async () => {
    const path = join(testFolder(), 'agent.sock')
    await listening(path)
    await expect(listening(path)).rejects.toMatchObject({ code: 'invalid_configuration' })
    expect(existsSync(path)).toBe(true)
  })

  it('follows no symbolic link, wherever it leads', async () => {
    const folder = testFolder()
    symlinkSync('/etc/passwd', join(folder, 'agent.sock'))
    await expect(listening(join(folder, 'agent.sock'))).rejects.toThrow(/symbolic link/)
    symlinkSync(join(folder, 'nowhere'), join(folder, 'dangling.sock'))
    await expect(listening(join(folder, 'dangling.sock'))).rejects.toThrow(/symbolic link/)
  })

  it('destroys no file that is not its own', async () => {
    const path = join(testFolder(), 'agent.sock')
    writeFileSync(path, 'precious')
    await expect(listening(path)).rejects.toThrow(/no socket/)
    expect(existsSync(path)).toBe(true)
  })

  it('is not put where others could replace it', async () => {
    const folder = testFolder()
    mkdirSync(join(folder, 'open'))
    chmodSync(join(folder, 'open'), 0o777)
    await expect(listening(join(folder, 'open', 'agent.sock'))).rejects.toThrow(/chmod go-w/)
    // The sticky bit lets others not remove it, but come first.
    chmodSync(join(folder, 'open'), 0o1777)
    const refusal = await listening(join(folder, 'open', 'agent.sock')).catch((error) => error.message)
    expect(refusal).toMatch(/everybody may write in .*; put the socket into a folder of its own there/)
    expect(refusal, 'nobody is to close /tmp').not.toContain('chmod')
  })

  it.runIf(process.getuid?.() === 0)(
    'is not put into a folder of another user, nor led there by his link',
    async () => {
      const folder = testFolder()
      mkdirSync(join(folder, 'theirs'))
      chownSync(join(folder, 'theirs'), 4242, 4242)
      await expect(listening(join(folder, 'theirs', 'agent.sock'))).rejects.toThrow(/belongs to user 4242/)
      mkdirSync(join(folder, 'ours'))
      spawnSync('ln', ['-s', join(folder, 'ours'), join(folder, 'link')])
      spawnSync('chown', ['-h', '4242', join(folder, 'link')])
      await expect(listening(join(folder, 'link', 'agent.sock'))).rejects.toThrow(/symbolic link of user 4242/)
    },
  )

  it.runIf(process.getuid?.() === 0)('is not put where somebody could move its folder away', async () => {
    const home = join(testFolder(), 'home')
    mkdirSync(join(home, 'agent'), { recursive: true })
    chownSync(home, 4242, 4242)
    await expect(listening(join(home, 'agent', 'agent.sock'))).rejects.toThrow(/on the way to the socket/)
    symlinkSync(join(home, 'agent'), join(home, '..', 'link'))
    await expect(listening(join(home, '..', 'link', 'agent.sock'))).rejects.toThrow(/on the way to the socket/)
    chownSync(home, 0, 0)
    chmodSync(home, 0o777)
    await expect(listening(join(home, 'agent', 'agent.sock'))).rejects.toThrow(/on the way to the socket/)
    const close = await listenOnSocketFile(createServer(), join(home, 'agent', 'agent.sock'), {
      mode: 0o777,
      anyWay: true,
    })
    await close()
    chmodSync(home, 0o1777)
    await listening(join(home, 'agent', 'agent.sock'))
  })

  it('has a path that the system can hold', async () => {
    await expect(listening(`/tmp/${'a'.repeat(110)}/agent.sock`)).rejects.toThrow(/107 bytes/)
    await expect(listening('agent.sock')).rejects.toThrow(/not absolute/)
  })
})

async function listening(path: string): Promise<void> {
  const close = await listenOnSocketFile(createServer(), path, { mode: 0o777 })
  onTestFinished(close)
}
