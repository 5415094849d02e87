import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface FakeToken {
  audiences: string[]
  username: string
  extra?: Record<string, string[]>
}

export interface FakePod {
  uid: string
  nodeName?: string
  hostIP?: string
  phase?: string
  labels?: Record<string, string>
}

/** As much of a Kubernetes API server as a token review takes, over TLS; it answers as 1.36 does (conformance/kubernetes). */
export interface FakeKubernetes {
  url: string
  certificateAuthority: () => string
  /** What the server under test shows; `tokenFile` holds it */
  tokenFile: string
  tokens: Map<string, FakeToken>
  /** By `namespace/name` */
  pods: Map<string, FakePod>
  nodes: Map<string, { uid: string; labels?: Record<string, string> }>
  /** Answers everything so, in place of itself */
  broken: ((path: string) => { status: number; body: string; hang?: boolean } | undefined) | undefined
  requests: { method: string; path: string; body: string }[]
  close(): Promise<void>
}

export const ownToken = 'the-token-of-the-server-itself'

export async function startKubernetes({ knowsAudiences = true } = {}): Promise<FakeKubernetes> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-kubernetes-'))
  const file = (name: string) => join(folder, name)
  const names = ['-subj', '/CN=kubernetes', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2']
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', file('key.pem')]
  execFileSync('openssl', ['req', '-x509', ...key, '-out', file('ca.pem'), ...names], { stdio: 'pipe' })
  writeFileSync(file('token'), `${ownToken}\n`)
  const certificate = readFileSync(file('ca.pem'), 'utf8')
  const server = createServer({ cert: certificate, key: readFileSync(file('key.pem')) })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const fake: FakeKubernetes = {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    certificateAuthority: () => certificate,
    tokenFile: file('token'),
    tokens: new Map(),
    pods: new Map(),
    nodes: new Map(),
    broken: undefined,
    requests: [],
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      rmSync(folder, { recursive: true, force: true })
    },
  }
  server.on('request', async (request, response) => {
    const path = request.url ?? ''
    let body = ''
    for await (const chunk of request) body += chunk
    fake.requests.push({ method: request.method ?? '', path, body })
    const broken = fake.broken?.(path)
    if (broken?.hang) return
    const isOurs = request.headers.authorization === `Bearer ${ownToken}`
    const answer = broken ?? (isOurs ? answerTo(fake, path, body, knowsAudiences) : failure(401, 'Unauthorized'))
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body)
  })
  return fake
}

function answerTo(fake: FakeKubernetes, path: string, body: string, knowsAudiences: boolean) {
  const found = (value: unknown, status = 200) =>
    value === undefined ? failure(404, 'NotFound') : { status, body: JSON.stringify(value) }
  if (path === '/apis/authentication.k8s.io/v1/tokenreviews') {
    const { spec } = JSON.parse(body)
    const token = fake.tokens.get(spec.token)
    const audiences = token?.audiences.filter((each) => spec.audiences.includes(each)) ?? []
    // The real one leaves `authenticated` out where it says why.
    if (!token || (knowsAudiences && audiences.length === 0)) {
      const given = `token audiences ${JSON.stringify(token?.audiences)}`
      const wanted = `is invalid for the target audiences ${JSON.stringify(spec.audiences)}`
      const why = token ? `${given} ${wanted}` : 'service account token has been invalidated'
      return found({ ...JSON.parse(body), status: { user: {}, error: `[invalid bearer token, ${why}]` } }, 201)
    }
    const groups = ['system:serviceaccounts', 'system:authenticated']
    const extra = { 'authentication.kubernetes.io/credential-id': ['JTI=of the token'], ...token.extra }
    const user = { username: token.username, uid: 'sa-uid', groups, extra }
    return found({ status: { authenticated: true, user, ...(knowsAudiences && { audiences }) } }, 201)
  }
  const [, namespace, podName] = /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)$/.exec(path) ?? []
  if (podName) {
    const pod = fake.pods.get(`${namespace}/${podName}`)
    const { uid, nodeName, hostIP, phase = 'Running', labels } = pod ?? {}
    return found(pod && { kind: 'Pod', metadata: { uid, labels }, spec: { nodeName }, status: { hostIP, phase } })
  }
  const [, nodeName = ''] = /^\/api\/v1\/nodes\/([^/]+)$/.exec(path) ?? []
  const node = fake.nodes.get(nodeName)
  return found(node && { kind: 'Node', metadata: node })
}

function failure(code: number, reason: string) {
  return { status: code, body: JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', reason, code }) }
}
