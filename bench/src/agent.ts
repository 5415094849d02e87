import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { createEntry, generateMasterKey, loadConfig, startServer } from '@countersign/server'
import { parsePemCertificates, toPem } from '@countersign/spiffe'
import { SpiffeWorkloadAPIClient } from '@countersign/spiffe/protocol/workload-api'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { credentials, Metadata } from '@grpc/grpc-js'
import pino from 'pino'
import { type Figure, median } from './figures.ts'
import { type Program, startProgram } from './process.ts'

const launcher = new URL('../../packages/cli/bin/countersign.js', import.meta.url)
const trustDomain = 'bench.internal'
const fetches = 1_000

/** The agent as an operator starts it, at a server of ours, after its first start has filled the compile cache. */
export async function benchAgent(): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-bench-'))
  const node = nodeCertificate(folder)
  const server = await startServer(
    configuration(folder, node.caFile),
    pino({ level: 'silent' }),
    async (_app, authority) => {
      const parentId = `spiffe://${trustDomain}/spire/agent/x509pop/${node.fingerprint}`
      const selectors = [{ type: 'unix', value: `uid:${process.getuid?.()}` }]
      await createEntry({ spiffeId: `spiffe://${trustDomain}/bench`, parentId, selectors }, trustDomain, authority, {})
    },
  )
  try {
    const bundle = await fetch('http://localhost:18997/spiffe/bundle')
    writeFileSync(join(folder, 'bundle.json'), await bundle.text())
    const start = () => startAgent(folder, node, server.nodeApi?.port as number)
    await (await start()).stop()
    const agent = await start()
    try {
      await setTimeout(4_000)
      const idle = residentMegabytes(agent)
      const socket = join(folder, 'agent.sock')
      const first = await fetchSvid(socket)
      const times: number[] = []
      for (let round = 0; round < fetches; round++) times.push(await fetchSvid(socket))
      return [
        {
          name: 'memory of an idle agent',
          measured: `${Math.round(idle)} MB`,
          budget: '<= 80 MB',
          met: idle <= 80,
        },
        {
          name: 'Workload API, first SVID of a process: connect, attest, receive',
          measured: `${median(times).toFixed(1)} ms`,
          note: `${first.toFixed(0)} ms for the first one of all, which has the binary hashed`,
        },
        {
          name: `memory of an agent after ${fetches} callers`,
          measured: `${Math.round(residentMegabytes(agent))} MB`,
          note: `Node alone ${Math.round(await nodeAlone())} MB, with its TLS and HTTP/2 ${Math.round(await nodeAlone('node:tls', 'node:http2'))} MB`,
        },
      ]
    } finally {
      await agent.stop()
    }
  } finally {
    await server.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

function nodeCertificate(folder: string) {
  const authority = createTestAuthority('nodes.internal')
  const { certificatePem, keyPem } = authority.certificate({ commonName: 'bench' })
  const files = {
    caFile: join(folder, 'ca.pem'),
    certificateFile: join(folder, 'node.pem'),
    keyFile: join(folder, 'node.key'),
  }
  writeFileSync(files.caFile, toPem(authority.issuer.certificate.der))
  writeFileSync(files.certificateFile, certificatePem)
  writeFileSync(files.keyFile, keyPem, { mode: 0o600 })
  const [certificate] = parsePemCertificates(certificatePem)
  return {
    ...files,
    fingerprint: createHash('sha1')
      .update(certificate?.der as Buffer)
      .digest('hex'),
  }
}

function configuration(folder: string, x509popCaFile: string) {
  return loadConfig({
    environment: {
      COUNTERSIGN_ISSUER: 'http://localhost:18997/',
      COUNTERSIGN_HOST: '127.0.0.1',
      COUNTERSIGN_PORT: '18997',
      COUNTERSIGN_DATABASE_URL: `sqlite:${join(folder, 'countersign.db')}`,
      COUNTERSIGN_MASTER_KEY: generateMasterKey(),
      COUNTERSIGN_SPIFFE_TRUST_DOMAIN: trustDomain,
      COUNTERSIGN_SPIFFE_NODE_HOST: '127.0.0.1',
      COUNTERSIGN_SPIFFE_NODE_PORT: '0',
      COUNTERSIGN_SPIFFE_NODE_ATTESTORS_X509POP_CA_FILE: x509popCaFile,
    },
  })
}

async function startAgent(
  folder: string,
  node: { certificateFile: string; keyFile: string },
  port: number,
): Promise<Program> {
  const adminSocket = join(folder, 'admin.sock')
  const agent = await startProgram(launcher, {
    args: ['agent'],
    environment: {
      COUNTERSIGN_AGENT_SERVER: `127.0.0.1:${port}`,
      COUNTERSIGN_AGENT_TRUST_DOMAIN: trustDomain,
      COUNTERSIGN_AGENT_BOOTSTRAP_BUNDLE_FILE: join(folder, 'bundle.json'),
      COUNTERSIGN_AGENT_NODE_X509POP_CERT_FILE: node.certificateFile,
      COUNTERSIGN_AGENT_NODE_X509POP_KEY_FILE: node.keyFile,
      COUNTERSIGN_AGENT_SOCKET: join(folder, 'agent.sock'),
      COUNTERSIGN_AGENT_ADMIN_SOCKET: adminSocket,
    },
  })
  while ((await cachedSvids(adminSocket)) === 0) await setTimeout(50)
  return agent
}

function cachedSvids(socketPath: string): Promise<number> {
  return new Promise((resolve) => {
    request({ socketPath, path: '/v1/status' }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk) => (text += chunk))
      response.on('end', () => resolve(JSON.parse(text).cached_svids))
    })
      .on('error', () => resolve(0))
      .end()
  })
}

/** @returns milliseconds from nothing to the first message, over a connection of its own */
async function fetchSvid(socket: string): Promise<number> {
  const startedAt = performance.now()
  const client = new SpiffeWorkloadAPIClient(`unix://${socket}`, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  })
  const header = new Metadata()
  header.set('workload.spiffe.io', 'true')
  const stream = client.fetchX509Svid({}, header)
  stream.on('error', () => {})
  await new Promise((resolve) => stream.once('data', resolve))
  const milliseconds = performance.now() - startedAt
  stream.cancel()
  client.close()
  return milliseconds
}

/** What no agent can be below: a process that has loaded these modules and waits. */
async function nodeAlone(...modules: string[]): Promise<number> {
  const child = spawn(process.execPath, [
    '--eval',
    `${JSON.stringify(modules)}.map(require); setInterval(() => {}, 1e9)`,
  ])
  await setTimeout(1_000)
  const megabytes = residentMegabytes({ child })
  child.kill()
  return megabytes
}

function residentMegabytes({ child }: Pick<Program, 'child'>): number {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024
}
