import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { type Certificate, parseCertificate, verifyX509Svid } from '@countersign/spiffe'
import { createTestAuthority } from '@countersign/spiffe/testing'
import pino from 'pino'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { rotateAuthority } from '../certificate-authorities/lifecycle.ts'
import { loadConfig } from '../config/load-config.ts'
import { freePort } from '../free-port.fixture.ts'
import { generateMasterKey } from '../sealing/master-key.ts'
import { type RunningServer, startServer } from './run-server.ts'

let folder: string
let server: RunningServer | undefined
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-mtls-'))
})
afterEach(async () => {
  await server?.close()
  server = undefined
  await rm(folder, { recursive: true })
})

async function start(settings: Record<string, string>): Promise<RunningServer> {
  const config = loadConfig({
    environment: {
      COUNTERSIGN_ISSUER: 'http://localhost/',
      COUNTERSIGN_HOST: '127.0.0.1',
      COUNTERSIGN_PORT: '0',
      COUNTERSIGN_DATABASE_URL: `sqlite:${join(folder, 'a.db')}`,
      COUNTERSIGN_MASTER_KEY: generateMasterKey(),
      COUNTERSIGN_MTLS_HOST: '127.0.0.1',
      COUNTERSIGN_MTLS_PORT: '0',
      ...settings,
    },
  })
  server = await startServer(config, pino({ level: 'silent' }))
  return server
}

async function shown({ mtlsPort }: RunningServer): Promise<Certificate> {
  const socket = connect({ port: mtlsPort!, host: '127.0.0.1', rejectUnauthorized: false })
  await new Promise((done) => socket.once('secureConnect', done))
  const { raw } = socket.getPeerCertificate()
  socket.destroy()
  return parseCertificate(raw)
}

/** Whether a second connection takes up the session of the first. */
async function isResumed({ mtlsPort }: RunningServer): Promise<boolean> {
  const to = { port: mtlsPort!, host: '127.0.0.1', rejectUnauthorized: false, maxVersion: 'TLSv1.2' } as const
  const first = connect(to)
  await once(first, 'secureConnect')
  const session = first.getSession()
  first.destroy()
  const second = connect({ ...to, ...(session && { session }) })
  await once(second, 'secureConnect')
  const isReused = second.isSessionReused()
  second.destroy()
  return isReused
}

describe('the listener for certificates', () => {
  const spiffe = async () => ({
    COUNTERSIGN_SPIFFE_TRUST_DOMAIN: 'example.org',
    COUNTERSIGN_SPIFFE_NODE_HOST: '127.0.0.1',
    COUNTERSIGN_SPIFFE_NODE_PORT: String(await freePort()),
  })

  it("shows the server's own SVID with the issuer's host, and a new one when the CA changes", async () => {
    const running = await start(await spiffe())
    const { ca, authorities } = running.authority.workloadIdentity!
    const first = await shown(running)
    expect([first.uris, first.dnsNames]).toEqual([['spiffe://example.org/spire/server'], ['localhost']])
    expect(verifyX509Svid([first], new Map([['example.org', ca.bundle()]]), Date.now() / 1000).path).toBe(
      '/spire/server',
    )
    await rotateAuthority('x509', authorities, { force: true })
    await expect.poll(async () => (await shown(running)).authorityKeyId === first.authorityKeyId).toBe(false)
  })

  it('resumes no session, also after its files have changed: a resumed one would not bring its chain', async () => {
    const [certFile, keyFile] = [join(folder, 'tls.crt'), join(folder, 'tls.key')]
    const use = async (commonName: string) => {
      const { certificatePem, keyPem } = createTestAuthority('example.org').certificate({ commonName })
      await writeFile(keyFile, keyPem)
      await writeFile(certFile, certificatePem)
    }
    await use('first')
    const running = await start({ COUNTERSIGN_MTLS_CERT_FILE: certFile, COUNTERSIGN_MTLS_KEY_FILE: keyFile })
    expect(await isResumed(running)).toBe(false)
    await use('second')
    await expect.poll(async () => (await shown(running)).subject, { timeout: 20_000 }).toBe('CN=second')
    expect(await isResumed(running)).toBe(false)
  })

  it('stands in the metadata with the port that it has', async () => {
    const running = await start(await spiffe())
    const metadata = await (await fetch(`${running.url}/.well-known/oauth-authorization-server`)).json()
    expect(metadata).toMatchObject({
      mtls_endpoint_aliases: { token_endpoint: `https://localhost:${running.mtlsPort}/oauth/token` },
    })
  })

  it('says what is missing: a certificate to show, CAs that can be read', async () => {
    await expect(start({})).rejects.toThrow(/mtls\.cert_file/)
    const file = join(folder, 'ca.pem')
    await writeFile(file, 'nothing')
    const another = {
      COUNTERSIGN_DATABASE_URL: `sqlite:${join(folder, 'b.db')}`,
      COUNTERSIGN_MTLS_CLIENT_CA_FILE: file,
    }
    await expect(start({ ...(await spiffe()), ...another })).rejects.toThrow(
      /mtls\.client_ca_file: .*ca\.pem cannot be used: .*there is no whole PEM block/,
    )
  })
})
