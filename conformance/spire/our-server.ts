// Our server as it is deployed, with a trust domain and lifetimes of seconds; set up through its admin API alone.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateMasterKey, loadConfig, type RunningServer, startServer } from '@countersign/server'
import { formatPemCertificates, parseBundleDocument } from '@countersign/spiffe'
import { pino } from 'pino'
import { freePort } from '../free-port.ts'

const secret = 'of the operator, and long enough to be one'

export interface OurServer {
  /** Where agents are served */
  node: { host: string; port: number }
  /** A file with the trust bundle as it is now, PEM */
  bundleFile(): Promise<string>
  // biome-ignore lint/suspicious/noExplicitAny: whatever the admin API answers
  admin(method: string, path: string, body?: object): Promise<any>
  joinToken(): Promise<{ token: string; agentId: string }>
  stop(): Promise<void>
  /** On the same ports and the same database */
  start(): Promise<void>
  remove(): void
}

/**
 * @param x509popCa PEM of the CA whose certificates let nodes join
 * @param settings more of its configuration, as in the file (YAML)
 */
export async function startOurServer(x509popCa: string, settings?: string): Promise<OurServer> {
  const folder = mkdtempSync(join(tmpdir(), 'our-server-'))
  const [port, nodePort] = [await freePort(), await freePort()]
  const issuer = `http://localhost:${port}/`
  const caFile = join(folder, 'pop-ca.pem')
  writeFileSync(caFile, x509popCa)
  const file = join(folder, 'countersign.yaml')
  if (settings !== undefined) writeFileSync(file, settings)
  const config = loadConfig({
    ...(settings !== undefined && { file }),
    environment: {
      COUNTERSIGN_ISSUER: issuer,
      COUNTERSIGN_HOST: '127.0.0.1',
      COUNTERSIGN_PORT: String(port),
      COUNTERSIGN_DATABASE_URL: `sqlite:${join(folder, 'countersign.db')}`,
      COUNTERSIGN_MASTER_KEY: generateMasterKey(),
      COUNTERSIGN_ADMIN_CLIENT_ID: 'admin',
      COUNTERSIGN_ADMIN_CLIENT_SECRET: secret,
      COUNTERSIGN_SPIFFE_TRUST_DOMAIN: 'example.org',
      COUNTERSIGN_SPIFFE_NODE_HOST: '127.0.0.1',
      COUNTERSIGN_SPIFFE_NODE_PORT: String(nodePort),
      COUNTERSIGN_SPIFFE_X509_SVID_TTL: '10s',
      COUNTERSIGN_SPIFFE_JWT_SVID_TTL: '10s',
      COUNTERSIGN_SPIFFE_AGENT_SVID_TTL: '15s',
      COUNTERSIGN_SPIFFE_CA_LIFETIME: '10m',
      COUNTERSIGN_SPIFFE_PUBLISH_AHEAD: '5s',
      COUNTERSIGN_SPIFFE_NODE_ATTESTORS_X509POP_CA_FILE: caFile,
    },
  })
  let running: RunningServer | undefined
  const start = async () => {
    running = await startServer(config, pino({ level: 'silent' }))
  }
  const admin: OurServer['admin'] = async (method, path, body) => {
    const answer = await fetch(`${issuer}api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${await adminToken(issuer)}`,
        ...(body ? { 'content-type': 'application/json' } : {}),
      },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
    return text === '' ? undefined : JSON.parse(text)
  }
  await start()
  return {
    node: { host: '127.0.0.1', port: nodePort },
    async bundleFile() {
      const file = join(folder, `bundle-${Date.now()}.pem`)
      const { x509Authorities } = parseBundleDocument(
        'example.org',
        await (await fetch(`${issuer}spiffe/bundle`)).text(),
      )
      writeFileSync(file, formatPemCertificates(x509Authorities))
      return file
    },
    admin,
    async joinToken() {
      const { token, agent_id: agentId } = await admin('POST', '/join-tokens', { ttl: 60 })
      return { token, agentId }
    },
    start,
    stop: async () => running?.close(),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

async function adminToken(issuer: string): Promise<string> {
  const answer = await fetch(`${issuer}oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: 'admin',
      client_secret: secret,
      audience: 'urn:countersign:admin',
    }),
  })
  return ((await answer.json()) as { access_token: string }).access_token
}
