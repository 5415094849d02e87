import { type ChildProcess, spawn } from 'node:child_process'
import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../free-port.ts'
import { MissingRuntime } from '../missing-runtime.ts'
import { runProgram } from '../program.ts'

/** A cluster that is an API server alone: it has nodes and pods because the test says so, and nothing runs. */
export interface Cluster {
  readonly url: string
  /** PEM: whom to trust as the API server */
  readonly caFile: string
  /** As an administrator. @throws Error with what the API server said, unless it is 2xx */
  // biome-ignore lint/suspicious/noExplicitAny: Kubernetes' own shapes
  call(method: string, path: string, body?: object | string): Promise<any>
  /** A token of a service account in the namespace `countersign`, bound to what is named (TokenRequest). */
  token(serviceAccount: string, options?: TokenOptions): Promise<string>
  /** The same token with other claims, signed by the cluster: what no one can ask for, such as one that has expired. */
  altered(token: string, claims: object): string
  stop(): Promise<void>
}

export interface TokenOptions {
  audiences?: readonly string[]
  boundTo?: { kind: 'Pod' | 'Node' | 'Secret'; name: string }
}

/** @throws MissingRuntime when kube-apiserver or etcd is not on PATH */
export async function findKubernetes(): Promise<void> {
  for (const program of ['kube-apiserver', 'etcd']) {
    const { status, stderr } = await runProgram(program, ['--version'])
    if (status !== 0) throw new MissingRuntime(`put ${program} on PATH (${stderr.trim()})`, { isOptional: true })
  }
}

export async function startCluster(): Promise<Cluster> {
  const folder = mkdtempSync(join(tmpdir(), 'cluster-'))
  const file = (name: string) => join(folder, name)
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' })
  writeFileSync(file('sa.key'), key)
  writeFileSync(file('tokens.csv'), 'of-the-administrator,admin,1,"system:masters"\n')
  const [store, peers, port] = [await freePort(), await freePort(), await freePort()]
  const etcd = spawn('etcd', etcdArguments(file('etcd'), `http://127.0.0.1:${store}`, `http://127.0.0.1:${peers}`), {
    stdio: 'ignore',
  })
  const server = spawn('kube-apiserver', apiServerArguments(folder, `http://127.0.0.1:${store}`, port), {
    stdio: 'ignore',
  })
  const cluster: Cluster = {
    url: `https://127.0.0.1:${port}`,
    caFile: file('certs/apiserver.crt'),
    call: (method, path, body) => call(cluster, method, path, body),
    async token(serviceAccount, { audiences = ['countersign-server'], boundTo } = {}) {
      const reference = boundTo && { apiVersion: 'v1', ...boundTo }
      const spec = { audiences, expirationSeconds: 3600, ...(reference && { boundObjectRef: reference }) }
      const path = `/api/v1/namespaces/countersign/serviceaccounts/${serviceAccount}/token`
      return (await cluster.call('POST', path, { spec })).status.token
    },
    altered(token, claims) {
      const [header, payload] = token.split('.') as [string, string]
      const merged = { ...JSON.parse(Buffer.from(payload, 'base64url').toString()), ...claims }
      const signed = `${header}.${Buffer.from(JSON.stringify(merged)).toString('base64url')}`
      const signature = sign('sha256', Buffer.from(signed), createPrivateKey(key))
      return `${signed}.${signature.toString('base64url')}`
    },
    async stop() {
      // In this order: an API server whose store is gone takes minutes to end.
      await ended(server)
      await ended(etcd)
      rmSync(folder, { recursive: true, force: true })
    },
  }
  await untilReady(cluster, server)
  return cluster
}

function etcdArguments(folder: string, store: string, peers: string): string[] {
  return [
    ...['--data-dir', folder, '--unsafe-no-fsync', '--log-level', 'error'],
    ...['--listen-client-urls', store, '--advertise-client-urls', store],
    ...['--listen-peer-urls', peers, '--initial-advertise-peer-urls', peers, '--initial-cluster', `default=${peers}`],
  ]
}

function apiServerArguments(folder: string, store: string, port: number): string[] {
  return [
    `--etcd-servers=${store}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    `--secure-port=${port}`,
    `--cert-dir=${folder}/certs`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${folder}/sa.key`,
    `--service-account-signing-key-file=${folder}/sa.key`,
    '--service-cluster-ip-range=10.0.0.0/24',
    `--token-auth-file=${folder}/tokens.csv`,
    '--authorization-mode=RBAC',
    '--endpoint-reconciler-type=none',
  ]
}

/** A body of text is a manifest, applied with every unknown field refused. */
async function call(cluster: Cluster, method: string, path: string, body?: object | string): Promise<unknown> {
  const isManifest = typeof body === 'string'
  const type = isManifest ? 'application/apply-patch+yaml' : 'application/json'
  const query = isManifest ? '?fieldManager=conformance&fieldValidation=Strict' : ''
  const { status, text } = await new Promise<{ status: number; text: string }>((resolve, reject) => {
    const sent = request(
      `${cluster.url}${path}${query}`,
      {
        method,
        ca: readFileSync(cluster.caFile),
        agent: false,
        headers: { authorization: 'Bearer of-the-administrator', 'content-type': type },
      },
      (answer) => {
        let content = ''
        answer.setEncoding('utf8').on('data', (chunk) => (content += chunk))
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text: content }))
      },
    )
    sent.on('error', reject)
    sent.end(isManifest || body === undefined ? body : JSON.stringify(body))
  })
  if (status >= 300 || status < 200) throw new Error(`${method} ${path}: ${status} ${text}`)
  return path === '/readyz' ? text : JSON.parse(text)
}

async function untilReady(cluster: Cluster, server: ChildProcess): Promise<void> {
  for (const deadline = Date.now() + 90_000; Date.now() < deadline; ) {
    if (server.exitCode !== null) break
    // The namespace comes a moment after the server is ready.
    const ready =
      existsSync(cluster.caFile) &&
      (await cluster.call('GET', '/readyz').catch(() => false)) &&
      (await cluster.call('GET', '/api/v1/namespaces/default').catch(() => false))
    if (ready) return
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  await cluster.stop()
  throw new Error('kube-apiserver does not start')
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  return new Promise((resolve) => {
    const last = setTimeout(() => child.kill('SIGKILL'), 20_000)
    child.once('close', () => {
      clearTimeout(last)
      resolve()
    })
    child.kill('SIGTERM')
  })
}
