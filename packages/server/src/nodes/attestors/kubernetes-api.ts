import { readFile } from 'node:fs/promises'
import { request } from 'node:https'
import { parseJson } from '@countersign/tokens'
import type { z } from 'zod'

export interface KubernetesApiOptions {
  /** Such as `https://kubernetes.default.svc` */
  apiServer: string
  /** PEM: whom to trust as the API server */
  certificateAuthority: () => string
  /** Holds our own token; read at each call, as kubelets replace it */
  tokenFile: string
  /** Default 5 s */
  timeoutMilliseconds?: number
}

/** Undefined for what is not there (404). */
export interface KubernetesApi {
  get<T extends z.ZodType>(path: string, schema: T): Promise<z.output<T> | undefined>
  post<T extends z.ZodType>(path: string, body: unknown, schema: T): Promise<z.output<T> | undefined>
}

const largestAnswer = 1024 * 1024

/** One cluster's API server, over TLS with its own CA. Every call rejects with an Error that holds no token. */
export function createKubernetesApi(options: KubernetesApiOptions): KubernetesApi {
  const call = async <T extends z.ZodType>(method: string, path: string, schema: T, body?: unknown) => {
    const { status, content } = await send(options, method, path, body)
    if (status === 404) return undefined
    if (status !== 200 && status !== 201) {
      throw new Error(
        `the Kubernetes API server answered ${status} to ${method} ${withoutNames(path)}${cureOf(status)}`,
      )
    }
    const answer = schema.safeParse(parseJson(content, { maximumBytes: largestAnswer }))
    if (!answer.success) throw new Error('the Kubernetes API server answered something else than was asked for')
    return answer.data
  }
  return {
    get: (path, schema) => call('GET', path, schema),
    post: (path, body, schema) => call('POST', path, schema, body),
  }
}

async function send(
  { apiServer, certificateAuthority, tokenFile, timeoutMilliseconds = 5_000 }: KubernetesApiOptions,
  method: string,
  path: string,
  body: unknown,
): Promise<{ status: number; content: Buffer }> {
  const token = (await readFile(tokenFile, 'utf8')).trim()
  const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
  return new Promise((resolve, reject) => {
    const sent = request(
      `${apiServer.replace(/\/+$/, '')}${path}`,
      {
        method,
        ca: certificateAuthority(),
        minVersion: 'TLSv1.2',
        signal: AbortSignal.timeout(timeoutMilliseconds),
        headers: {
          accept: 'application/json',
          authorization: `Bearer ${token}`,
          ...(payload && { 'content-type': 'application/json', 'content-length': payload.length }),
        },
      },
      (answer) => {
        const chunks: Buffer[] = []
        let length = 0
        answer.on('data', (chunk: Buffer) => {
          length += chunk.length
          if (length > largestAnswer) sent.destroy(new Error('the Kubernetes API server answered with too much'))
          else chunks.push(chunk)
        })
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, content: Buffer.concat(chunks) }))
        answer.on('error', reject)
      },
    )
    sent.on('error', (error) => reject(new Error(`the Kubernetes API server cannot be asked: ${error.message}`)))
    sent.end(payload)
  })
}

function cureOf(status: number): string {
  if (status === 401) return ': our own token (token_file) is not accepted'
  if (status === 403) return ': our own token may not do this; it needs to create tokenreviews and get pods and nodes'
  return ''
}

/** Names of pods and nodes are not for messages that go to agents. */
function withoutNames(path: string): string {
  return path.replaceAll(/\/(namespaces|pods|nodes)\/[^/]+/g, '/$1/…')
}
