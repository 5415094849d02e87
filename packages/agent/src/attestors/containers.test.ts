import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startCallers, withoutRoot } from '../peer/callers.fixture.ts'
import { peerOf } from '../peer/peer-of.ts'
import { createDockerAttestor } from './docker.ts'
import { attestWorkload } from './workload-attestor.ts'

const [victim, attacker] = ['a'.repeat(64), 'b'.repeat(64)]
const unified = ['/sys/fs/cgroup/unified', '/sys/fs/cgroup'].find(isWritable)
const legacy = ['/sys/fs/cgroup/pids', '/sys/fs/cgroup/freezer'].find(isWritable)

/** A hierarchy in which folders can be made; in a container it is often read-only. */
function isWritable(hierarchy: string): boolean {
  const probe = join(hierarchy, `probe-${process.pid}`)
  try {
    mkdirSync(probe)
    const isHierarchy = existsSync(join(probe, 'cgroup.procs'))
    rmdirSync(probe)
    return isHierarchy
  } catch {
    return false
  }
}

/** Folders that the test makes below `/docker` in a hierarchy, and takes away again. */
function makeGroup(hierarchy: string, name: string): string {
  const path = join(hierarchy, name)
  const made: string[] = []
  for (let folder = path; !existsSync(folder); folder = join(folder, '..')) made.push(folder)
  mkdirSync(path, { recursive: true })
  onTestFinished(() => {
    for (const folder of made) {
      try {
        rmdirSync(folder)
      } catch {
        // Another test has a folder in it still.
      }
    }
  })
  return path
}

describe.skipIf(withoutRoot || unified === undefined)(
  "the kernel's own control groups (needs root and a writable /sys/fs/cgroup)",
  () => {
    const attestIn = async (...groups: string[]) => {
      const callers = await startCallers()
      onTestFinished(() => callers.close())
      const { child, socket } = await callers.connected()
      for (const group of groups) writeFileSync(join(group, 'cgroup.procs'), String(child.pid))
      const engine = createServer((request, response) => {
        const Id = request.url?.split('/')[2]
        response.end(JSON.stringify({ Id, State: { Running: true }, Config: { Labels: { container: Id } } }))
      })
      const path = join(callers.folder, 'docker.sock')
      await new Promise<void>((resolve) => engine.listen(path, resolve))
      onTestFinished(() => void engine.close())
      const attestation = await attestWorkload([createDockerAttestor({ socket: path })], peerOf(socket))
      child.kill('SIGKILL')
      await new Promise((resolve) => child.once('exit', resolve))
      return attestation
    }

    it('name the container of a process', async () => {
      const { selectors } = await attestIn(makeGroup(unified as string, `docker/${victim}`))
      expect(selectors).toEqual([{ type: 'docker', value: `label:container:${victim}` }])
    })

    it('do not let a container name folders of its own as another container', async () => {
      const { selectors } = await attestIn(makeGroup(unified as string, `docker/${attacker}/docker/${victim}`))
      expect(selectors).toEqual([{ type: 'docker', value: `label:container:${attacker}` }])
    })

    it.skipIf(legacy === undefined)('make nobody of a process that left its container in one hierarchy', async () => {
      const { selectors, problems } = await attestIn(
        makeGroup(unified as string, `docker/${attacker}`),
        makeGroup(legacy as string, `docker/${victim}`),
      )
      expect(selectors).toEqual([])
      expect(problems).toEqual([{ attestor: 'docker', problem: expect.stringMatching(/contradict each other/) }])
    })
  },
)
