import { createHash, type KeyObject, X509Certificate } from 'node:crypto'
import { formatPemCertificates } from '@countersign/spiffe'
import { Agent } from 'undici'
import { ClientError } from '../client-error.ts'

export interface ClientCertificate {
  /** PEM, the certificate first, and then what is between it and its root */
  readonly cert: string
  /** PEM */
  readonly key: string
}

/** `createX509Source()` of @countersign/spiffe/workload-api, or anything of its shape. */
export interface X509SvidSource {
  svid(): { readonly certificates: readonly { readonly der: Uint8Array }[]; readonly privateKey: KeyObject }
}

export interface MtlsFetchOptions {
  /** What to show: a certificate, what gives the one of the moment (files that are renewed), or a source of X.509-SVIDs. */
  readonly certificate: ClientCertificate | (() => ClientCertificate) | X509SvidSource
  /** Whose servers are believed, in PEM. Default: those of Node. Names are checked as ever. */
  readonly ca?: string | readonly string[]
}

/** A `fetch` that shows a client certificate: for `createClient({ fetch })` and by itself. */
export interface MtlsFetch {
  (input: string | URL | Request, init?: RequestInit): Promise<Response>
  /** Which certificate it shows now. Tokens that are bound to an older one are no longer used. */
  credentialVersion(): string
  /** Ends its connections when the requests on them have ended. */
  close(): Promise<void>
}

/**
 * A `fetch` over mutual TLS. A new certificate is shown from the next request on: no request goes over an older connection.
 * Rejects as `fetch` does, and with ClientError `invalid_configuration` where there is no certificate to show.
 */
export function createMtlsFetch({ certificate, ca }: MtlsFetchOptions): MtlsFetch {
  const authorities = ca === undefined ? undefined : [ca].flat()
  let current: { shown: ClientCertificate; version: string; agent: Agent } | undefined

  function renewed() {
    const shown = readCertificate(certificate)
    if (current?.shown.cert === shown.cert) return current
    // Requests under way end in peace.
    current?.agent.close().catch(() => {})
    current = { shown, version: versionOf(shown), agent: agentFor(shown, authorities) }
    return current
  }

  const mtlsFetch = (input: string | URL | Request, init?: RequestInit) =>
    globalThis.fetch(input, { ...init, dispatcher: renewed().agent } as RequestInit)
  return Object.assign(async (input: string | URL | Request, init?: RequestInit) => mtlsFetch(input, init), {
    credentialVersion: () => renewed().version,
    async close() {
      await current?.agent.close()
      current = undefined
    },
  })
}

/** Without resumption: a session that is resumed shows the certificate of then. */
function agentFor({ cert, key }: ClientCertificate, ca: readonly string[] | undefined): Agent {
  return new Agent({ connect: { cert, key, maxCachedSessions: 0, ...(ca === undefined ? {} : { ca: [...ca] }) } })
}

const fromSource = new WeakMap<object, ClientCertificate>()

function readCertificate(given: MtlsFetchOptions['certificate']): ClientCertificate {
  if (typeof given === 'function') return given()
  if (!('svid' in given)) return given
  const svid = given.svid()
  const known = fromSource.get(svid)
  if (known !== undefined) return known
  const read = {
    cert: formatPemCertificates(svid.certificates),
    key: svid.privateKey.export({ format: 'pem', type: 'pkcs8' }) as string,
  }
  fromSource.set(svid, read)
  return read
}

/** The thumbprint that a token gets bound to (RFC 8705 section 3.1). */
function versionOf({ cert }: ClientCertificate): string {
  try {
    return createHash('sha256').update(new X509Certificate(cert).raw).digest('base64url')
  } catch {
    throw new ClientError('invalid_configuration', 'the client certificate is no certificate in PEM')
  }
}
