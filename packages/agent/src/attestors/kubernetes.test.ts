import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { toPem } from '@countersign/spiffe'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { KubeletOptions } from './kubelet.ts'
import { createKubernetesAttestor, type KubernetesAttestorOptions } from './kubernetes.ts'
import { parsePodList } from './pod.ts'
import { processIn } from './proc.fixture.ts'

const id = '09bc3d7ade839efec32b6bec4ec79d099027a668ddba043083ec21d3c3b8f1e6'
const initId = 'e'.repeat(64)
const uid = '2c48913c-b29f-11e7-9350-020968147796'
const inPod = `0::/kubepods/burstable/pod${uid}/${id}\n`

const pod = (containerID = `containerd://${id}`) => ({
  metadata: {
    name: 'shop-7d9c-x2x',
    namespace: 'store',
    uid,
    labels: { app: 'shop', 'app.kubernetes.io/part-of': 'store' },
    ownerReferences: [{ kind: 'ReplicaSet', name: 'shop-7d9c', uid: '0b0e3bdf' }],
  },
  spec: { serviceAccountName: 'shop', nodeName: 'node-1' },
  status: {
    containerStatuses: [
      {
        name: 'main',
        containerID,
        image: 'registry.example.com/shop:1.2',
        imageID: 'registry.example.com/shop@sha256:aa',
      },
      { name: 'starting', image: 'registry.example.com/side:1', imageID: '' },
    ],
    initContainerStatuses: [
      { name: 'migrate', containerID: `containerd://${initId}`, image: 'migrate:1', imageID: 'migrate@sha256:bb' },
    ],
  },
})

describe('the k8s attestor', () => {
  const authority = createTestAuthority('example.org')
  const { certificatePem, keyPem } = authority.certificate({ dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] })
  let folder: string
  let files: { caFile: string; tokenFile: string }
  let asked: IncomingMessage[]
  let pods: unknown[]
  let answer: (response: ServerResponse) => void

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'kubelet-'))
    files = { caFile: join(folder, 'ca.crt'), tokenFile: join(folder, 'token') }
    writeFileSync(files.caFile, toPem(authority.issuer.certificate.der))
    writeFileSync(files.tokenFile, 'first-token\n')
    asked = []
    pods = [{ ...pod(), metadata: { ...pod().metadata, uid: 'another' }, status: {} }, pod()]
    answer = (response) => response.end(JSON.stringify({ kind: 'PodList', items: pods }))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const listener: RequestListener = (request, response) => {
    asked.push(request)
    answer(response)
  }
  const startKubelet = async (options: { requestCert?: boolean } = {}): Promise<KubeletOptions> => {
    const server = createHttpsServer(
      { key: keyPem, cert: certificatePem, ca: toPem(authority.issuer.certificate.der), ...options },
      listener,
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    return { port: (server.address() as AddressInfo).port, ...files }
  }
  const attest = async (options: KubernetesAttestorOptions, controlGroups = inPod) => {
    const attestor = createKubernetesAttestor({ waitMilliseconds: 0, refreshMilliseconds: 10, ...options })
    const selectors = await attestor.attest(processIn(controlGroups), () => {})
    return selectors.map(({ type, value }) => `${type}:${value}`)
  }

  it('names pod, owner, images and container', async () => {
    expect(await attest({ kubelet: await startKubelet() })).toEqual([
      'k8s:sa:shop',
      'k8s:ns:store',
      'k8s:node-name:node-1',
      `k8s:pod-uid:${uid}`,
      'k8s:pod-name:shop-7d9c-x2x',
      'k8s:pod-image-count:2',
      'k8s:pod-init-image-count:1',
      'k8s:pod-image:registry.example.com/shop@sha256:aa',
      'k8s:pod-image:registry.example.com/shop:1.2',
      'k8s:pod-image:registry.example.com/side:1',
      'k8s:pod-init-image:migrate@sha256:bb',
      'k8s:pod-init-image:migrate:1',
      'k8s:pod-label:app:shop',
      'k8s:pod-label:app.kubernetes.io/part-of:store',
      'k8s:pod-owner:ReplicaSet:shop-7d9c',
      'k8s:pod-owner-uid:ReplicaSet:0b0e3bdf',
      'k8s:container-name:main',
      'k8s:container-image:registry.example.com/shop@sha256:aa',
      'k8s:container-image:registry.example.com/shop:1.2',
    ])
    expect(asked[0]).toMatchObject({ url: '/pods', headers: { authorization: 'Bearer first-token' } })
  })

  it('names the container of an init container, and one whose pod the control group does not show', async () => {
    const kubelet = await startKubelet()
    expect(await attest({ kubelet }, `0::/kubepods/burstable/pod${uid}/${initId}\n`)).toContain(
      'k8s:container-name:migrate',
    )
    expect(await attest({ kubelet }, `0::/../crio-${id}.scope\n`)).toContain('k8s:container-name:main')
  })

  it('does not ask the kubelet about a process of no pod', async () => {
    expect(await attest({ kubelet: await startKubelet() }, '0::/system.slice/ssh.service\n')).toEqual([])
    expect(asked).toEqual([])
  })

  it('waits for the kubelet to know a container that has just started', async () => {
    answer = (response) => response.end(JSON.stringify({ items: [pod(asked.length > 1 ? undefined : '')] }))
    expect(await attest({ kubelet: await startKubelet(), waitMilliseconds: 5000 })).toContain('k8s:container-name:main')
    expect(asked).toHaveLength(2)
  })

  it('gives up when the kubelet never gets to know it, and when the process ends', async () => {
    pods = [pod('')]
    const kubelet = await startKubelet()
    await expect(attest({ kubelet, waitMilliseconds: 50 })).rejects.toThrow(/knows no running container/)
    const workload = processIn(inPod)
    workload.alive = false
    const attestor = createKubernetesAttestor({ kubelet, waitMilliseconds: 60_000, refreshMilliseconds: 10 })
    await expect(attestor.attest(workload, () => {})).rejects.toThrow(/ended before/)
  })

  it('gives an ephemeral container nothing of its pod, at once', async () => {
    const ephemeral = [
      { name: 'debug', containerID: `containerd://${id}`, image: 'busybox', imageID: 'busybox@sha256:cc' },
    ]
    pods = [{ ...pod('containerd://other'), status: { ephemeralContainerStatuses: ephemeral } }]
    const kubelet = await startKubelet()
    await expect(attest({ kubelet, waitMilliseconds: 60_000 })).rejects.toThrow(/ephemeral/)
    expect(asked).toHaveLength(1)
  })

  it('takes no pod for the one that the control group names because a container has the same id', async () => {
    pods = [{ ...pod(), metadata: { ...pod().metadata, uid: 'another' } }]
    await expect(attest({ kubelet: await startKubelet() })).rejects.toThrow(/knows no running container/)
  })

  it('gives no selectors when two pods name the container', async () => {
    pods = [pod(), pod()]
    await expect(attest({ kubelet: await startKubelet() })).rejects.toThrow(/more than one pod/)
  })

  it('asks once for callers that come together, and reads the token anew each time', async () => {
    const attestor = createKubernetesAttestor({ kubelet: await startKubelet(), refreshMilliseconds: 2_000 })
    const workload = processIn(inPod)
    await Promise.all(Array.from({ length: 10 }, () => attestor.attest(workload, () => {})))
    expect(asked).toHaveLength(1)
    writeFileSync(files.tokenFile, 'second-token\n')
    await expect
      .poll(async () => {
        await attestor.attest(workload, () => {})
        return asked.length
      })
      .toBe(2)
    expect(asked[1]?.headers.authorization).toBe('Bearer second-token')
  })

  it('shows a client certificate instead of a token', async () => {
    const { certificatePem: cert, keyPem: key } = authority.certificate({ commonName: 'agent' })
    const [certificateFile, keyFile] = [join(folder, 'agent.crt'), join(folder, 'agent.key')]
    writeFileSync(certificateFile, cert)
    writeFileSync(keyFile, key)
    const { port, caFile } = await startKubelet({ requestCert: true })
    await attest({ kubelet: { port: port as number, caFile: caFile as string, certificateFile, keyFile } })
    expect((asked[0] as IncomingMessage & { socket: TLSSocket }).socket.authorized).toBe(true)
    expect(asked[0]?.headers.authorization).toBeUndefined()
  })

  it('says at start which file it lacks to ask the kubelet', () => {
    const lack = (kubelet: KubeletOptions) => createKubernetesAttestor({ kubelet }).lacks?.()
    expect(lack(files)).toBeUndefined()
    expect(lack({ ...files, caFile: '/none/ca' })).toMatch(/no \/none\/ca, .*kubelet\.ca_file$/)
    expect(lack({ ...files, tokenFile: '/none/token' })).toMatch(/no \/none\/token, .*kubelet\.token_file$/)
    expect(lack({ ...files, certificateFile: files.caFile, keyFile: '/none/key' })).toMatch(/kubelet\.key_file$/)
    expect(lack({ tokenFile: files.tokenFile, insecureSkipVerify: true })).toBeUndefined()
    expect(lack({ readOnlyPort: 10255 })).toBeUndefined()
  })

  it('asks the read-only port without a token', async () => {
    const server = createHttpServer(listener)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const { port } = server.address() as AddressInfo
    expect(await attest({ kubelet: { readOnlyPort: port } })).toContain('k8s:ns:store')
    expect(asked[0]?.headers.authorization).toBeUndefined()
  })

  it('tells its token to nobody whose certificate is not of the CA, or of another host', async () => {
    const kubelet = await startKubelet()
    writeFileSync(files.caFile, toPem(createTestAuthority('example.org').issuer.certificate.der))
    await expect(attest({ kubelet })).rejects.toThrow(/the kubelet at 127\.0\.0\.1:\d+ cannot be asked/)
    writeFileSync(files.caFile, toPem(authority.issuer.certificate.der))
    await expect(attest({ kubelet: { ...kubelet, host: '127.0.0.2' } })).rejects.toThrow(/cannot be asked/)
    expect(asked).toEqual([])
    await attest({ kubelet: { ...kubelet, caFile: '/none', insecureSkipVerify: true } })
    expect(asked).toHaveLength(1)
  })

  it('knows a kubelet by the name in its certificate, wherever it is reached', async () => {
    const kubelet = { ...(await startKubelet()), host: '127.0.0.1' }
    await expect(attest({ kubelet: { ...kubelet, serverName: 'node-2' } })).rejects.toThrow(/cannot be asked/)
    expect(asked).toEqual([])
    await attest({ kubelet: { ...kubelet, serverName: 'localhost' } })
    expect(asked).toHaveLength(1)
  })

  it('names no service account for a static pod, which has none', async () => {
    pods = [{ ...pod(), spec: { nodeName: 'node-1' } }]
    const selectors = await attest({ kubelet: await startKubelet() })
    expect(selectors).toContain('k8s:ns:store')
    expect(selectors.filter((selector) => selector.startsWith('k8s:sa'))).toEqual([])
  })

  it.each<[string, (response: ServerResponse) => void, RegExp]>([
    ['401', (response) => response.writeHead(401).end(), /it answered 401: it does not accept the token/],
    ['403', (response) => response.writeHead(403).end('Forbidden'), /it answered 403: .* may not get nodes\/pods/],
    ['500', (response) => response.writeHead(500).end(), /it answered 500$/],
    ['what is not JSON', (response) => response.end('nonsense'), /cannot be asked/],
    ['null', (response) => response.end('null'), /knows no running container/],
    ['what is no list', (response) => response.end('{"items":{"0":1}}'), /knows no running container/],
    [
      'a list of nonsense',
      (response) => response.end('{"items":[1,null,{},{"status":{"containerStatuses":[null,3]}}]}'),
      /knows no/,
    ],
  ])('gives no selectors when the kubelet answers %s', async (_, how, message) => {
    answer = how
    await expect(attest({ kubelet: await startKubelet() })).rejects.toThrow(message)
  })

  it('reads of a pod what is text, and nothing else', () => {
    const [read] = parsePodList({
      items: [
        { metadata: { labels: { a: 1, b: 'x' }, name: 7 }, status: { containerStatuses: [{ containerID: id }] } },
      ],
    })
    expect(read).toMatchObject({ name: '', labels: { b: 'x' }, containers: [{ id: '', name: '' }] })
  })
})
