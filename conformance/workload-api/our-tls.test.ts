// Our TLS for Node and go-spiffe's, both with SVIDs from our agent; and trust domains that trust each other.
import { request, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { formatBundleDocument } from '@countersign/spiffe'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { allowId, createHttpsServer, httpsAgent, peerOf, type TlsSource } from '@countersign/spiffe/tls'
import { createX509Source, type X509Source } from '@countersign/spiffe/workload-api'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeWith } from '../describe-with.ts'
import { until } from '../until.ts'
import { prepareGoSpiffe } from './go-spiffe.ts'
import { idOf, type NodeUnderTest, startNodeUnderTest, trustDomain } from './node-under-test.ts'

await describeWith(prepareGoSpiffe, 'our TLS and go-spiffe', (go) => {
  const foreign = createTestAuthority('foreign.example')
  let node: NodeUnderTest
  let source: X509Source
  const servers: Server[] = []

  beforeAll(async () => {
    node = await startNodeUnderTest({
      COUNTERSIGN_SPIFFE_X509_SVID_TTL: '6s',
      COUNTERSIGN_SPIFFE_PUBLISH_AHEAD: '5s',
    })
    await node.server.admin('PUT', '/trust-bundles/foreign.example', {
      bundle: JSON.parse(formatBundleDocument(foreign.bundle)),
    })
    await node.addEntry('/node', process.execPath)
    await node.addEntry('/go', go.program, { federates_with: ['foreign.example'] })
    source = createX509Source({ socket: `unix://${node.socketPath}` })
    await source.ready
  })
  afterAll(async () => {
    for (const server of servers) server.close()
    source?.close()
    await node?.close()
  })

  const callOften = (url: string, id: string, count: number): Promise<Answer[]> =>
    go.ask('call', { url, id, count, pause_ms: 80 }, node.socketPath)
  const serve = async (identity: TlsSource, allowed: string) => {
    const server = createHttpsServer(identity, allowId(allowed), (request, response) => {
      const caller = peerOf(request.socket as TLSSocket)
      response.end(JSON.stringify({ caller: caller?.id.toString(), serial: caller?.certificate.serialNumber }))
    })
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return `https://127.0.0.1:${(server.address() as AddressInfo).port}/`
  }

  it('serves a go-spiffe client through rotations and a new CA, without a failed handshake', {
    timeout: 60_000,
  }, async () => {
    const url = await serve(source, idOf('/go'))
    const called = callOften(url, idOf('/node'), 150)
    const { id } = await node.server.admin('POST', '/certificate-authorities/prepare', { kind: 'x509' })
    // Too early for some seconds: not everybody knows it yet.
    await until(() => node.server.admin('POST', `/certificate-authorities/${id}/activate`).then(() => true))
    const answers = await called
    expect(answers.filter(({ caller }) => caller !== idOf('/go'))).toEqual([])
    expect(new Set(answers.map(({ serial }) => serial)).size).toBeGreaterThan(3)
    expect(source.bundles.get(trustDomain)?.x509Authorities).toHaveLength(2)
    const issuers = (await go.ask('fetch', { audience: 'x' }, node.socketPath)).bundles
    expect(issuers).toEqual({ [trustDomain]: 2, 'foreign.example': 1 })
  })

  it('calls a go-spiffe server, each request by a new connection, through rotations', { timeout: 60_000 }, async () => {
    const serving = go.start('serve', { allowed_ids: [idOf('/node')] }, node.socketPath)
    const agent = httpsAgent(source, allowId(idOf('/go')), { keepAlive: false })
    try {
      const { address } = await serving.next()
      const serials = new Set<string>()
      const end = Date.now() + 8000
      while (Date.now() < end) {
        const { caller, serial } = await getJson(`https://${address}/`, agent)
        expect(caller).toBe(idOf('/node'))
        serials.add(serial)
        await new Promise((resolve) => setTimeout(resolve, 30))
      }
      expect(serials.size).toBeGreaterThan(1)
    } finally {
      agent.destroy()
      await serving.stop()
    }
  })

  it('refuses each other where the ID is another one than is asked for', async () => {
    const url = await serve(source, idOf('/somebody-else'))
    expect((await callOften(url, idOf('/node'), 1))[0]?.error).toBeDefined()
    expect((await callOften(await serve(source, idOf('/go')), idOf('/somebody-else'), 1))[0]?.error).toMatch(
      /unexpected ID/,
    )
    const serving = go.start('serve', { allowed_ids: [idOf('/somebody-else')] }, node.socketPath)
    const agent = httpsAgent(source, allowId(idOf('/go')), { keepAlive: false })
    const { address } = await serving.next()
    await expect(getJson(`https://${address}/`, agent)).rejects.toThrow()
    await serving.stop()
  })

  describe('and a trust domain that ours is federated with', () => {
    const foreignId = 'spiffe://foreign.example/service'

    it('is believed by the workload whose entry says so', async () => {
      const url = await serve(sourceOf(foreign, source), idOf('/go'))
      expect(await callOften(url, foreignId, 1)).toEqual([{ caller: idOf('/go'), serial: expect.any(String) }])
    })

    it('is not believed by others, nor when it speaks for our trust domain', async () => {
      const url = await serve(sourceOf(foreign, source), idOf('/node'))
      const agent = httpsAgent(source, allowId(foreignId), { keepAlive: false })
      await expect(getJson(url, agent)).rejects.toThrow(/no trust bundle vouches/)
      const impostor = createTestAuthority(trustDomain)
      const asked = await serve(sourceOf(impostor, source), idOf('/go'))
      const [answer] = await callOften(asked, 'spiffe://example.org/service', 1)
      expect(answer?.error).toMatch(/unknown authority|verify/)
    })
  })
})

interface Answer {
  caller?: string
  serial?: string
  error?: string
}

/** A service of another trust domain that believes what `ours` believes. */
function sourceOf(authority: ReturnType<typeof createTestAuthority>, ours: X509Source): TlsSource {
  const svid = authority.x509Svid('/service')
  return { svid: () => svid, bundles: ours.bundles, onUpdate: () => () => {} }
}

function getJson(url: string, agent: ReturnType<typeof httpsAgent>): Promise<{ caller: string; serial: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk) => (text += chunk))
      response.on('end', () => resolve(JSON.parse(text))).on('error', reject)
    })
    sent.on('error', reject).end()
  })
}
