import { z } from 'zod'
import { AttestationError } from '../node-attestor.ts'
import type { KubernetesApi } from './kubernetes-api.ts'

/** Whose token it is, as the API server says. */
export interface TokenOwner {
  namespace: string
  serviceAccount: string
  podName: string
  podUid: string
  /** The node that ran the pod when the token was made, its UID if it was known then; before Kubernetes 1.30 none */
  node: { name: string; uid: string | undefined } | undefined
}

const one = (pattern: RegExp) => z.array(z.string().regex(pattern)).length(1)
const name = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/
const apiVersion = 'authentication.k8s.io/v1'
const podNameKey = 'authentication.kubernetes.io/pod-name'
const podUidKey = 'authentication.kubernetes.io/pod-uid'
const nodeNameKey = 'authentication.kubernetes.io/node-name'
const nodeUidKey = 'authentication.kubernetes.io/node-uid'
const longestReason = 500

const review = z.object({
  status: z.object({
    authenticated: z.boolean().optional(),
    audiences: z.array(z.string()).optional(),
    error: z.string().optional(),
    user: z.object({ username: z.string().optional(), extra: z.record(z.string(), z.unknown()).optional() }).optional(),
  }),
})
const uid = /^[A-Za-z0-9-]{1,64}$/
const boundTo = z.object({
  [podNameKey]: one(name),
  [podUidKey]: one(uid),
  [nodeNameKey]: one(name).optional(),
  [nodeUidKey]: one(uid).optional(),
})

/**
 * Asks the cluster about a token. It must be for one of our audiences: without that check a token that was given to some
 * other service would let its receiver join.
 * @throws AttestationError `denied`; Error when the API server cannot be asked
 */
export async function reviewToken(
  token: string,
  { api, audience }: { api: KubernetesApi; audience: readonly string[] },
): Promise<TokenOwner> {
  const asked = { apiVersion, kind: 'TokenReview', spec: { token, audiences: audience } }
  const answer = await api.post(`/apis/${apiVersion}/tokenreviews`, asked, review)
  if (!answer) throw new Error(`the Kubernetes API server does not know ${apiVersion}`)
  const { status } = answer
  if (status.authenticated !== true) {
    const detail = status.error?.replaceAll(token, '…').slice(0, longestReason)
    throw new AttestationError('denied', 'the Kubernetes API server does not accept the token', { detail })
  }
  // An API server that knows nothing of audiences leaves them out, and has not checked them.
  if (!status.audiences?.some((each) => audience.includes(each))) throw denied('the token is for another audience')
  const [system, kind, namespace = '', serviceAccount = '', ...more] = status.user?.username?.split(':') ?? []
  const isServiceAccount = system === 'system' && kind === 'serviceaccount' && more.length === 0
  if (!isServiceAccount || !name.test(namespace) || !name.test(serviceAccount)) {
    throw denied('the token is not that of a service account')
  }
  const pod = boundTo.safeParse(status.user?.extra)
  // Tokens of secrets are bound to no pod, and never end.
  if (!pod.success) throw denied('the token is not bound to a pod')
  const [podName] = pod.data[podNameKey] as [string]
  const [podUid] = pod.data[podUidKey] as [string]
  const [nodeName] = pod.data[nodeNameKey] ?? []
  const [nodeUid] = pod.data[nodeUidKey] ?? []
  const node = nodeName === undefined ? undefined : { name: nodeName, uid: nodeUid }
  return { namespace, serviceAccount, podName, podUid, node }
}

function denied(message: string): AttestationError {
  return new AttestationError('denied', message)
}
