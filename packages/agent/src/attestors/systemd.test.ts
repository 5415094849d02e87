import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { processIn } from './proc.fixture.ts'
import { createSystemdAttestor } from './systemd.ts'

describe('the systemd attestor', () => {
  let folder: string
  const attest = async (controlGroups: string) => {
    const attestor = createSystemdAttestor({ unitFolders: [join(folder, 'etc'), join(folder, 'usr')] })
    const selectors = await attestor.attest(processIn(controlGroups), () => {})
    return selectors.map(({ type, value }) => `${type}:${value}`)
  }
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'units-'))
    for (const each of ['etc', 'usr']) mkdirSync(join(folder, each))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  it('says so on a machine that systemd does not run', () => {
    expect(createSystemdAttestor({ bootedPath: join(folder, 'none') }).lacks?.()).toMatch(/not run by systemd/)
    expect(createSystemdAttestor({ bootedPath: folder }).lacks?.()).toBeUndefined()
  })

  it('names the unit and its file, the first in the order of systemd', async () => {
    writeFileSync(join(folder, 'usr/app.service'), '')
    expect(await attest('0::/system.slice/app.service\n')).toEqual([
      'systemd:id:app.service',
      `systemd:fragment_path:${folder}/usr/app.service`,
    ])
    writeFileSync(join(folder, 'etc/app.service'), '')
    expect(await attest('0::/system.slice/app.service\n')).toContain(`systemd:fragment_path:${folder}/etc/app.service`)
  })

  it('names the template of an instance that has no file of its own', async () => {
    writeFileSync(join(folder, 'usr/getty@.service'), '')
    expect(await attest('0::/system.slice/system-getty.slice/getty@tty1.service\n')).toEqual([
      'systemd:id:getty@tty1.service',
      `systemd:fragment_path:${folder}/usr/getty@.service`,
    ])
  })

  it("reads systemd's own hierarchy where there is one", async () => {
    expect(await attest('5:memory:/x.service\n1:name=systemd:/system.slice/app.service\n0::/\n')).toEqual([
      'systemd:id:app.service',
    ])
  })

  it('has nothing to say of a process of no unit', async () => {
    expect(await attest('0::/docker/x\n')).toEqual([])
  })
})
