import { describe, expect, it } from 'vitest'
import { agreed, parseControlGroups } from './control-groups.ts'
import { containerOf } from './docker.ts'
import { podContainerOf } from './pod-control-group.ts'
import { unitOf } from './systemd.ts'

const id = '09bc3d7ade839efec32b6bec4ec79d099027a668ddba043083ec21d3c3b8f1e6'
const otherId = 'f'.repeat(64)
const uid = '2c48913c-b29f-11e7-9350-020968147796'
const uid_ = uid.replaceAll('-', '_')
const only = (path: string) => {
  const groups = parseControlGroups(`0::${path}\n`)
  expect(groups).toHaveLength(1)
  return groups[0] as (typeof groups)[0]
}

describe('the container that Docker made', () => {
  const parents = [['docker'], ['system.slice']]
  it.each([
    ['cgroupfs, v1 and v2', `/docker/${id}`],
    ['systemd', `/system.slice/docker-${id}.scope`],
    ['without a prefix', `/system.slice/${id}.scope`.replace('.scope', '')],
    ['with an init of its own inside', `/docker/${id}/init.scope`],
    ['with containers of its own inside', `/docker/${id}/docker/${otherId}`],
    ['with systemd inside', `/system.slice/docker-${id}.scope/system.slice/docker-${otherId}.scope`],
    ['as an agent in a container sees it', `/../${id}`],
    ['as an agent in a container sees it, systemd', `/../docker-${id}.scope`],
    ['as an agent in a container elsewhere sees it', `/../../docker-${id}.scope/x`],
  ])('is read from %s', (_, path) => {
    expect(containerOf(only(path), parents)).toBe(id)
  })

  it('is read below the cgroup-parent that the operator names', () => {
    const path = `/machine.slice/libpod-${id}.scope/container`
    expect(containerOf(only(path), [['machine.slice']])).toBe(id)
    expect(containerOf(only(path), parents)).toBeUndefined()
  })

  it.each([
    ['a process of no container', '/'],
    ['a service', '/system.slice/ssh.service'],
    ['a folder that a service made', `/system.slice/app.service/docker-${id}.scope`],
    ['a folder that a user made', `/user.slice/user-1000.slice/user@1000.service/user.slice/docker-${id}.scope`],
    ['a folder that a user calls docker', `/user.slice/user-1000.slice/user@1000.service/docker/${id}`],
    ['the monitor of a container', `/system.slice/crio-conmon-${id}.scope`],
    ['an id that is too short', '/docker/09bc3d7ade83'],
    ['an id in capitals', `/docker/${id.toUpperCase()}`],
    ['a pod of Kubernetes', `/kubepods/burstable/pod${uid}/${id}`],
  ])('is not read from %s', (_, path) => {
    expect(containerOf(only(path), parents)).toBeUndefined()
  })

  it('is nobody when the hierarchies of v1 name different ones', () => {
    const lines = (first: string, second: string) =>
      parseControlGroups(`12:cpu,cpuacct:${first}\n1:name=systemd:${second}\n0::/system.slice/containerd.service\n`)
    expect(agreed(lines(`/docker/${id}`, `/docker/${id}`), (group) => containerOf(group, parents))).toBe(id)
    expect(() => agreed(lines(`/docker/${id}`, `/docker/${otherId}`), (group) => containerOf(group, parents))).toThrow(
      /contradict/,
    )
  })
})

describe('the container of a pod', () => {
  const full = `${uid}/${id}`
  it.each([
    ['cgroupfs, guaranteed', `/kubepods/pod${uid}/${id}`],
    ['cgroupfs, burstable', `/kubepods/burstable/pod${uid}/${id}`],
    ['cgroupfs, best effort', `/kubepods/besteffort/pod${uid}/${id}`],
    [
      'systemd and containerd',
      `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${uid_}.slice/cri-containerd-${id}.scope`,
    ],
    ['systemd, guaranteed', `/kubepods.slice/kubepods-pod${uid_}.slice/cri-containerd-${id}.scope`],
    [
      'systemd and CRI-O',
      `/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${uid_}.slice/crio-${id}.scope`,
    ],
    [
      'systemd and Docker',
      `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${uid}.slice/docker-${id}.scope`,
    ],
    [
      'kind, cgroup v2',
      `/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod${uid_}.slice/cri-containerd-${id}.scope`,
    ],
    ['kind, cgroup v1', `/kubelet/kubepods/besteffort/pod${uid}/${id}`],
    [
      "containerd with systemd's names, kubelet without",
      `/system.slice/containerd.service/kubepods-burstable-pod${uid_}.slice:cri-containerd:${id}`,
    ],
    ["containerd with systemd's names at the top", `/kubepods-besteffort-pod${uid_}.slice:cri-containerd:${id}`],
    ['a container with folders of its own', `/kubepods/burstable/pod${uid}/${id}/init.scope/x`],
    ['a container that names a folder as another', `/kubepods/burstable/pod${uid}/${id}/kubepods/pod${uid}/${otherId}`],
    ['an agent in a pod, same quality of service', `/../../pod${uid}/${id}`],
    ['an agent in a pod, another quality of service', `/../../../burstable/pod${uid}/${id}`],
    ['an agent in a pod, systemd', `/../../kubepods-besteffort-pod${uid_}.slice/cri-containerd-${id}.scope`],
    [
      'an agent in a pod, systemd, another quality of service',
      `/../../../kubepods-burstable.slice/kubepods-burstable-pod${uid_}.slice/cri-containerd-${id}.scope`,
    ],
    [
      'an agent in a container that is no pod',
      `/../../kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${uid_}.slice/crio-${id}.scope`,
    ],
  ])('is read from %s', (_, path) => {
    expect(podContainerOf(only(path))).toBe(full)
  })

  it.each([
    ['CRI-O in the same pod', `/../crio-${id}.scope`],
    ['containerd in the same pod', `/../cri-containerd-${id}.scope`],
    ['cgroupfs in the same pod', `/../${id}`],
  ])('is read without its pod from %s', (_, path) => {
    expect(podContainerOf(only(path))).toBe(`/${id}`)
  })

  it('is read for a static pod, whose UID is a hash', () => {
    expect(podContainerOf(only(`/kubepods/burstable/pod${'a'.repeat(32)}/${id}`))).toBe(`${'a'.repeat(32)}/${id}`)
  })

  it('is read below the folder that the operator names', () => {
    const path = `/docker/${otherId}/kubepods/besteffort/pod${uid}/${id}`
    expect(podContainerOf(only(path))).toBeUndefined()
    expect(podContainerOf(only(path), ['docker', otherId])).toBe(full)
    expect(podContainerOf(only(path), ['docker', id])).toBeUndefined()
  })

  it.each([
    ['a process of the node', '/system.slice/kubelet.service'],
    ['the top', '/'],
    ['a pod without a container', `/kubepods/burstable/pod${uid}`],
    ['the monitor of a container', `/kubepods/burstable/pod${uid}/crio-conmon-${id}.scope`],
    ['a container of Docker', `/docker/${id}`],
    ['a container of Docker that names folders as pods', `/docker/${otherId}/kubepods/burstable/pod${uid}/${id}`],
    ['a user who names folders as pods', `/user.slice/user-1000.slice/user@1000.service/kubepods/pod${uid}/${id}`],
    [
      'a service that names folders as pods',
      `/system.slice/app.service/kubepods-pod${uid_}.slice:cri-containerd:${id}`,
    ],
    ['an agent in a container, a container that names folders as pods', `/../x/pod${uid}/${id}`],
    ['a pod UID that is none', `/kubepods/pod../${id}`],
  ])('is not read from %s', (_, path) => {
    expect(podContainerOf(only(path))).toBeUndefined()
  })
})

describe("systemd's unit", () => {
  it.each([
    ['/system.slice/app.service', 'app.service'],
    ['/system.slice/app.service/worker/1', 'app.service'],
    ['/system.slice/system-getty.slice/getty@tty1.service', 'getty@tty1.service'],
    ['/system.slice/dev-disk-by\\x2dlabel-x.mount', 'dev-disk-by\\x2dlabel-x.mount'],
    ['/user.slice/user-1000.slice/session-3.scope', 'session-3.scope'],
    ['/user.slice/user-1000.slice/user@1000.service/app.slice/app.service', 'user@1000.service'],
    ['/init.scope', 'init.scope'],
    ['/system.slice/_cpu.service', 'cpu.service'],
    [`/system.slice/docker-${id}.scope/system.slice/app.service`, `docker-${id}.scope`],
  ])('of %s is %s', (path, unit) => {
    expect(unitOf(only(path))).toBe(unit)
  })

  it.each(['/', '/system.slice', '/kubepods/burstable', '/../app.service', '/app service.service'])(
    'of %s is none',
    (path) => {
      expect(unitOf(only(path))).toBeUndefined()
    },
  )
})

it('reads no more of /proc/PID/cgroup than its lines say', () => {
  expect(parseControlGroups('')).toEqual([])
  expect(parseControlGroups('nonsense\n1:x\n:::\n1:name=systemd:no/path\n')).toEqual([])
  expect(parseControlGroups('4:cpu:/a:b/c\n')).toEqual([
    { controllers: 'cpu', segments: ['a:b', 'c'], relative: false },
  ])
})
