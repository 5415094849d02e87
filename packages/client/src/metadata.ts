import { parseJson } from '@countersign/tokens'
import { boundedRequest } from './bounded-request.ts'
import { ClientError } from './client-error.ts'
import { metadataUrl } from './issuer.ts'

export interface MetadataContext {
  issuer: string
  fetch: typeof globalThis.fetch
  /** Milliseconds on a clock that never steps back. */
  monotonicNow: () => number
  /** Take the endpoint that asks for a certificate, where there is one (RFC 8705 section 5). */
  useMtlsAlias: boolean
}

const freshMilliseconds = 3_600_000

/**
 * Finds the token endpoint in the issuer's metadata (RFC 8414) and remembers it for an hour; an old answer
 * serves on while the metadata cannot be had.
 */
export function createEndpointFinder(context: MetadataContext): (signal: AbortSignal) => Promise<string> {
  let known: { endpoint: string; readAt: number } | undefined
  return async (signal) => {
    if (known && context.monotonicNow() - known.readAt < freshMilliseconds) return known.endpoint
    try {
      known = { endpoint: await readEndpoint(context, signal), readAt: context.monotonicNow() }
    } catch (error) {
      const passing = error instanceof ClientError && ['unreachable', 'unavailable', 'timed_out'].includes(error.code)
      if (known === undefined || !passing) throw error
    }
    return known.endpoint
  }
}

async function readEndpoint({ issuer, fetch, useMtlsAlias }: MetadataContext, signal: AbortSignal): Promise<string> {
  const url = metadataUrl(new URL(issuer))
  const headers = { accept: 'application/json' }
  const name = "the token server's metadata"
  const answer = await boundedRequest(url, { name, method: 'GET', headers, signal, fetch })
  if (answer.status >= 500 || answer.status === 429) {
    throw new ClientError('unavailable', `${url} answered ${answer.status}; try again, or set tokenEndpoint`, {
      status: answer.status,
    })
  }
  if (answer.status !== 200) {
    throw bad(`${url} answered ${answer.status}; check issuer, or set tokenEndpoint`, answer.status)
  }
  return endpointOf(answer.body, issuer, url, useMtlsAlias)
}

/**
 * A document that names another issuer, or an endpoint elsewhere, would be a way to have the secret
 * delivered to someone else: the first is refused by RFC 8414 section 3.3, the second by us.
 */
function endpointOf(body: Buffer, issuer: string, url: string, useMtlsAlias: boolean): string {
  const document = parse(body)
  if (document === undefined) throw bad(`${url} is not a JSON object; check issuer, or set tokenEndpoint`)
  if (document.issuer !== issuer) {
    throw bad(`${url} is the metadata of another issuer; write issuer exactly as the server does, final slash included`)
  }
  const alias = useMtlsAlias ? aliasOf(document) : undefined
  if (alias !== undefined) return alias
  const endpoint = document.token_endpoint
  if (typeof endpoint !== 'string' || !URL.canParse(endpoint)) throw bad(`${url} names no token_endpoint`)
  const { origin, username, password, hash } = new URL(endpoint)
  if (origin !== new URL(issuer).origin || username || password || hash) {
    throw bad(
      `${url} names a token_endpoint that is not at the issuer's own origin; the secret is not sent there. ` +
        'If that is the right place, configure it as tokenEndpoint',
    )
  }
  return endpoint
}

/** A certificate proves nothing to whoever else it is shown to, so that the alias may stand elsewhere; but only on https. */
function aliasOf({ mtls_endpoint_aliases: aliases }: Record<string, unknown>): string | undefined {
  const endpoint = (aliases as { token_endpoint?: unknown } | undefined)?.token_endpoint
  if (typeof endpoint !== 'string' || !URL.canParse(endpoint)) return undefined
  const { protocol, username, password, hash } = new URL(endpoint)
  return protocol === 'https:' && !username && !password && !hash ? endpoint : undefined
}

function parse(body: Buffer): Record<string, unknown> | undefined {
  try {
    const value = parseJson(body, { maximumDepth: 16 })
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isObject ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function bad(message: string, status = 200): ClientError {
  return new ClientError('bad_metadata', message, { status })
}
