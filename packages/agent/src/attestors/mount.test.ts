import { mkdirSync, mkdtempSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { findMount } from './mount.ts'

const ownUserNamespace = readlinkSync('/proc/self/ns/user')

/** A process with one mount, which is not this process's. */
function processWith(fileSystem: string, userNamespace = ownUserNamespace): string {
  const procPath = mkdtempSync(join(tmpdir(), 'proc-'))
  onTestFinished(() => rmSync(procPath, { recursive: true }))
  mkdirSync(join(procPath, 'ns'))
  symlinkSync(userNamespace, join(procPath, 'ns/user'))
  writeFileSync(
    join(procPath, 'mountinfo'),
    `8888888 1 0:1 / /x rw - ext4 /dev/vda rw\n88888880 1 0:27 / / rw,relatime shared:7 master:3 - ${fileSystem} none rw\n`,
  )
  return procPath
}

describe('findMount', () => {
  it('trusts what root mounted for a container', async () => {
    const trusted = { trustedPath: true, trustedContent: true }
    expect(await findMount('88888880', processWith('overlay'))).toEqual(trusted)
    expect(await findMount('88888880', processWith('ext4'))).toEqual(trusted)
  })

  it.each(['fuse', 'fuse.sshfs', 'fuseblk'])(
    'trusts no content of %s, which a program makes up',
    async (fileSystem) => {
      expect(await findMount('88888880', processWith(fileSystem))).toMatchObject({ trustedContent: false })
    },
  )

  it('trusts no path in a user namespace, nor an overlay there, which may have FUSE beneath it', async () => {
    const other = 'user:[1]'
    const [plain, overlay] = [processWith('tmpfs', other), processWith('overlay', other)]
    expect(await findMount('88888880', plain)).toEqual({ trustedPath: false, trustedContent: true })
    expect(await findMount('88888880', overlay)).toEqual({ trustedPath: false, trustedContent: false })
  })

  it('knows nothing of a mount that is in neither namespace', async () => {
    expect(await findMount('99999999', processWith('ext4'))).toBeUndefined()
  })
})
