import { createServer, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createGuard } from '@countersign/guard'
import { guardNode } from '@countersign/guard/node'
import { formatBundleDocument, parseBundleDocument } from '@countersign/spiffe'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { describeWith } from '../describe-with.ts'
import { freePort } from '../free-port.ts'
import {
  envoyConfig,
  httpListener,
  localCluster,
  prepareEnvoy,
  type RunningEnvoy,
  spiffeTls,
  startEnvoy,
} from './envoy.ts'
import { prepareGoSpiffe, type RunningGo } from './go-spiffe.ts'
import { idOf, type NodeUnderTest, startNodeUnderTest, trustDomain } from './node-under-test.ts'

const foreignId = 'spiffe://foreign.example/service'
const prepare = async () => ({ envoy: await prepareEnvoy(), go: await prepareGoSpiffe() })

/** front (plain HTTP in, mTLS out) -> back (mTLS in, plain HTTP out) -> a server that knows nothing of TLS. */
await describeWith(prepare, 'Envoy with secrets from our agent', ({ envoy, go }) => {
  let node: NodeUnderTest
  let behind: Server
  let impostor: Server
  let foreign: Server
  let goServer: RunningGo
  let running: RunningEnvoy[] = []
  let front: string
  let backPort: number

  beforeAll(async () => {
    node = await startNodeUnderTest({ COUNTERSIGN_SPIFFE_X509_SVID_TTL: '10s' })
    const foreignAuthority = createTestAuthority('foreign.example')
    const bundle = JSON.parse(formatBundleDocument(foreignAuthority.bundle))
    await node.server.admin('PUT', '/trust-bundles/foreign.example', { bundle })
    await node.addEntry('/front', envoy.front, { federates_with: ['foreign.example'] })
    await node.addEntry('/back', envoy.back)
    await node.addEntry('/go', go.program)
    const own = await node.server.admin('GET', `/trust-bundles/${trustDomain}`)
    const guard = createGuard({
      mtls: {
        bundles: new Map([[trustDomain, parseBundleDocument(trustDomain, JSON.stringify(own.bundle))]]),
        allow: { spiffeIds: [idOf('/front')] },
      },
      certificateProxy: { header: 'xfcc', addresses: ['127.0.0.1'] },
    })
    const guarded = guardNode(guard, {}, ({ caller }, response) => response.end(JSON.stringify(caller)))
    behind = createServer((request, response) => {
      if (request.url === '/back/guarded') guarded(request, response)
      else response.end(JSON.stringify({ forwarded: request.headers['x-forwarded-client-cert'] }))
    })
    // Its CA has the name of ours, its ID is the one that is asked for.
    const { certificatePem, keyPem } = createTestAuthority(trustDomain).certificate({ uris: [idOf('/back')] })
    impostor = createTlsServer({ cert: certificatePem, key: keyPem }, (_, response) => response.end('{}'))
    const service = foreignAuthority.certificate({ uris: [foreignId] })
    foreign = createTlsServer({ cert: service.certificatePem, key: service.keyPem }, (_, response) =>
      response.end('{}'),
    )
    const [behindPort, impostorPort] = [await listening(behind), await listening(impostor)]
    const foreignPort = await listening(foreign)
    goServer = go.start('serve', { allowed_ids: [idOf('/front')] }, node.socketPath)
    const goPort = Number(((await goServer.next()).address as string).split(':')[1])
    const frontPort = await freePort()
    backPort = await freePort()
    front = `http://127.0.0.1:${frontPort}`

    const toBack = spiffeTls('default', 'ROOTCA', idOf('/back'))
    const clusters = {
      back: localCluster('back', backPort, toBack),
      'by-id': localCluster('by-id', backPort, spiffeTls(idOf('/front'), `spiffe://${trustDomain}`, idOf('/back'))),
      go: localCluster('go', goPort, spiffeTls('default', 'ALL', idOf('/go'))),
      'go-taken-for-back': localCluster('go-taken-for-back', goPort, toBack),
      impostor: localCluster('impostor', impostorPort, toBack),
      foreign: localCluster('foreign', foreignPort, spiffeTls('default', 'ALL', foreignId)),
      'foreign-by-own': localCluster('foreign-by-own', foreignPort, spiffeTls('default', 'ROOTCA', foreignId)),
    }
    const routes = Object.keys(clusters).map((cluster) => ({ prefix: `/${cluster}/`, cluster }))
    const frontConfig = envoyConfig(node.socketPath, [httpListener(frontPort, routes)], Object.values(clusters))
    const backListener = httpListener(
      backPort,
      [{ prefix: '/', cluster: 'behind' }],
      spiffeTls('default', 'ROOTCA', idOf('/front')),
    )
    const backConfig = envoyConfig(node.socketPath, [backListener], [localCluster('behind', behindPort)])
    running = [
      await startEnvoy(envoy.back, join(node.folder, 'back.json'), backConfig),
      await startEnvoy(envoy.front, join(node.folder, 'front.json'), frontConfig),
    ]
    await vi.waitFor(async () => expect((await get('/back/')).status).toBe(200), { timeout: 15_000, interval: 100 })
  }, 60_000)
  afterAll(async () => {
    for (const each of [...running, goServer]) await each?.stop()
    behind?.close()
    impostor?.close()
    foreign?.close()
    await node?.close()
  })

  const get = async (path: string) => {
    const response = await fetch(`${front}${path}`).catch((error: Error) => ({
      status: 0,
      text: async () => error.message,
    }))
    return { status: response.status, text: await response.text() }
  }

  it.each(['back', 'by-id'])('does mTLS between two Envoys, secrets named as in /%s/', async (cluster) => {
    const { status, text } = await get(`/${cluster}/`)
    expect(status).toBe(200)
    expect(JSON.parse(text).forwarded).toContain(`URI=${idOf('/front')}`)
  })

  it('tells our guard who the client is, whatever the client says', async () => {
    const said = { 'x-forwarded-client-cert': `Hash=${'0'.repeat(64)};URI=${idOf('/admin')};Subject="` }
    for (const headers of [{}, said]) {
      const answer = await fetch(`${front}/back/guarded`, { headers })
      expect([answer.status, await answer.json()]).toMatchObject([200, { method: 'mtls', spiffeId: idOf('/front') }])
    }
  })

  it('does mTLS with a go-spiffe server', async () => {
    const { status, text } = await get('/go/')
    expect({ status, ...JSON.parse(text) }).toMatchObject({ status: 200, caller: idOf('/front') })
  })

  it('does not take a workload for another one of the trust domain', async () => {
    expect((await get('/go-taken-for-back/')).status).toBe(503)
  })

  it('does not take a server for ours whose CA only has the name of ours', async () => {
    const refusal = new Promise((resolve) => impostor.once('tlsClientError', resolve))
    expect((await get('/impostor/')).status).toBe(503)
    expect(await refusal).toMatchObject({ message: expect.stringMatching(/alert/) })
  })

  it('believes a federated trust domain where its bundle was asked for, and not by ours', async () => {
    expect((await get('/foreign/')).status).toBe(200)
    expect((await get('/foreign-by-own/')).status).toBe(503)
  })

  it('refuses a go-spiffe client that is not allowed', async () => {
    const asked = { url: `https://127.0.0.1:${backPort}/`, id: idOf('/back') }
    const [answer] = await go.ask('call', asked, node.socketPath)
    expect(answer.error).toMatch(/certificate|tls/)
  })

  it('takes new secrets while it serves, without a failed request', { timeout: 60_000 }, async () => {
    const serials = new Set<string>()
    const failures: unknown[] = []
    const end = Date.now() + 12_000
    while (Date.now() < end) {
      const [back, go] = await Promise.all([get('/back/'), get('/go/')])
      if (back.status !== 200) failures.push(back)
      if (go.status !== 200) failures.push(go)
      else serials.add(JSON.parse(go.text).serial)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    expect(failures).toEqual([])
    expect(serials.size).toBeGreaterThan(1)
  })

  it('keeps no secret of its own: without an entry a new Envoy gets none', { timeout: 30_000 }, async () => {
    const stranger = await prepareStranger()
    const port = await freePort()
    const tls = spiffeTls('default', 'ROOTCA', idOf('/back'))
    const config = envoyConfig(
      node.socketPath,
      [httpListener(port, [{ prefix: '/', cluster: 'back' }])],
      [localCluster('back', backPort, tls)],
    )
    const started = await startEnvoy(stranger, join(node.folder, 'stranger.json'), config)
    running.push(started)
    const status = () =>
      fetch(`http://127.0.0.1:${port}/`).then(
        (response) => response.status,
        () => 0,
      )
    await expect.poll(status, { timeout: 20_000, interval: 200 }).toBe(503)
    expect(started.log()).toMatch(/no(%20| )identity(%20| )issued/)
  })

  /** The same binary under a path that no entry names. */
  async function prepareStranger(): Promise<string> {
    const { copyFile, chmod } = await import('node:fs/promises')
    const path = join(node.folder, 'stranger')
    await copyFile(envoy.front, path)
    await chmod(path, 0o755)
    return path
  }
})

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}
