import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { request as httpsRequest } from 'node:https'
import { request as httpRequest } from '../node-http.ts'
import { type Pod, parsePodList } from './pod.ts'
import { readJson } from './read-json.ts'

export interface KubeletOptions {
  /** The node's name or address. Default `127.0.0.1`, which needs the node's network. */
  readonly host?: string
  /**
   * The name in the kubelet's certificate. Default: `host`. A certificate that a kubelet signed itself has the node's name
   * alone.
   */
  readonly serverName?: string
  /** Default 10250. */
  readonly port?: number
  /** The kubelet's plain HTTP port (usually 10255) instead; nothing proves then that a kubelet answers. */
  readonly readOnlyPort?: number
  /** PEM file of the CA that the kubelet's certificate is from. Default: that of the service account. */
  readonly caFile?: string
  /** Whether to take any certificate: kubelets often have one that they signed themselves. Default false. */
  readonly insecureSkipVerify?: boolean
  /** Default: that of the service account. Read anew for each request, for it rotates. */
  readonly tokenFile?: string
  /** PEM files of a client certificate instead of a token. */
  readonly certificateFile?: string
  readonly keyFile?: string
  readonly timeoutMilliseconds?: number
}

export interface Kubelet {
  /** The pods of this node, at most `refreshMilliseconds` old. */
  pods(): Promise<readonly Pod[]>
}

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'
const MAX_ANSWER_BYTES = 64 * 2 ** 20
const cures: Readonly<Record<number, string>> = {
  401: 'it does not accept the token or client certificate',
  403: 'whose token this is may not get nodes/pods (before Kubernetes 1.33: nodes/proxy)',
}

/** Lists a node's pods; callers that come together share one request. */
export function createKubelet(options: KubeletOptions, refreshMilliseconds: number): Kubelet {
  let latest: { pods: Promise<readonly Pod[]>; at: number } | undefined
  return {
    pods() {
      if (latest === undefined || performance.now() - latest.at >= refreshMilliseconds) {
        const pods = fetchPods(options)
        const fetched = { pods, at: performance.now() }
        latest = fetched
        pods.catch(() => {
          if (latest === fetched) latest = undefined
        })
      }
      return latest.pods
    },
  }
}

/** The first of the files by which a kubelet is asked that is not there, with what names another; undefined for none. */
export function missingFile(options: KubeletOptions): string | undefined {
  if (options.readOnlyPort !== undefined) return undefined
  const needed = [
    options.insecureSkipVerify ? undefined : [options.caFile ?? `${SERVICE_ACCOUNT}/ca.crt`, 'ca_file'],
    options.certificateFile === undefined ? [options.tokenFile ?? `${SERVICE_ACCOUNT}/token`, 'token_file'] : undefined,
    options.certificateFile === undefined ? undefined : [options.certificateFile, 'cert_file'],
    options.keyFile === undefined ? undefined : [options.keyFile, 'key_file'],
  ]
  const missing = needed.find((file) => file !== undefined && !existsSync(file[0] as string))
  if (missing === undefined) return undefined
  return `there is no ${missing[0]}, without which the kubelet cannot be asked; mount it, or name another with attestors.k8s.kubelet.${missing[1]}`
}

async function fetchPods(options: KubeletOptions): Promise<readonly Pod[]> {
  const host = options.host ?? '127.0.0.1'
  const port = options.readOnlyPort ?? options.port ?? 10250
  const request =
    options.readOnlyPort === undefined
      ? httpsRequest({ host, port, path: '/pods', agent: false, ...(await credentials(options)) })
      : httpRequest({ host, port, path: '/pods', agent: false })
  const limits = { maxBytes: MAX_ANSWER_BYTES, timeoutMilliseconds: options.timeoutMilliseconds ?? 10_000, cures }
  return parsePodList(await readJson(request, `the kubelet at ${host}:${port}`, limits))
}

async function credentials(options: KubeletOptions) {
  const insecure = options.insecureSkipVerify === true
  const trust = {
    ...(options.serverName !== undefined && { servername: options.serverName }),
    ...(insecure
      ? { rejectUnauthorized: false }
      : { ca: await readFile(options.caFile ?? `${SERVICE_ACCOUNT}/ca.crt`) }),
  }
  if (options.certificateFile !== undefined && options.keyFile !== undefined) {
    return { ...trust, cert: await readFile(options.certificateFile), key: await readFile(options.keyFile) }
  }
  const token = (await readFile(options.tokenFile ?? `${SERVICE_ACCOUNT}/token`, 'utf8')).trim()
  return { ...trust, headers: { authorization: `Bearer ${token}` } }
}
