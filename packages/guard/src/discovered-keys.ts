import { createJwksSource, guardedFetch, type JwksSource, KeptDocument } from '@countersign/outbound'
import { parseJson } from '@countersign/tokens'
import { fetchRulesFor } from './fetch-rules.ts'
import { GuardConfigurationError } from './guard-error.ts'
import type { KeyFetching, KeySource } from './trusted-issuer.ts'

/**
 * The keys at the `jwks_uri` of the issuer's metadata (RFC 8414). Once known, the place of the keys outlives an outage
 * of the metadata; how long the keys themselves may be stale is the JWKS source's rule.
 */
export function discoverKeys(issuer: string, fetching: KeyFetching): KeySource {
  const urls = metadataUrls(issuer)
  const issuerRules = fetchRulesFor(urls[0]!, fetching.fetchOptions)
  const dropped = new Set<string>()
  let current: { url: string; source: JwksSource } | undefined

  const place = new KeptDocument<string>({
    load: async () => ({ value: await findJwksUrl(issuer, urls, issuerRules) }),
    now: fetching.now,
    staleSeconds: fetching.staleKeysSeconds,
  })

  async function source(): Promise<JwksSource> {
    const url = await place.get().catch((error: unknown) => {
      if (current === undefined) throw error
      return current.url
    })
    if (current?.url === url) return current.source
    const fetchOptions = rulesForKeys(url, issuer, fetching)
    const next = createJwksSource({ url, fetchOptions, now: fetching.now, staleSeconds: fetching.staleKeysSeconds })
    for (const kid of dropped) next.drop(kid)
    current = { url, source: next }
    return next
  }

  return {
    keyForSync: (header) => current?.source.keyForSync?.(header),
    keyFor: async (header) => (await source()).keyFor(header),
    drop(kid) {
      dropped.add(kid)
      current?.source.drop(kid)
    },
  }
}

/** RFC 8414 section 3.1: the well-known part goes between host and path. OpenID Connect appends it; tried second. */
function metadataUrls(issuer: string): readonly string[] {
  const parsed = URL.parse(issuer)
  if (parsed === null || parsed.search !== '' || parsed.hash !== '') {
    throw new GuardConfigurationError(
      `issuer "${issuer}" is not a URL without query; give its jwksUrl, or keys as jwks`,
    )
  }
  const path = parsed.pathname.replace(/\/$/, '')
  return [
    `${parsed.origin}/.well-known/oauth-authorization-server${path}`,
    `${parsed.origin}${path}/.well-known/openid-configuration`,
  ]
}

async function findJwksUrl(
  issuer: string,
  urls: readonly string[],
  rules: KeyFetching['fetchOptions'],
): Promise<string> {
  let failure: unknown
  for (const url of urls) {
    try {
      const answer = await guardedFetch(url, { ...rules, accept: ['application/json'] })
      if (answer.status === 200) return jwksUrlOf(answer.body, issuer)
      failure ??= new Error(`${url} answered ${answer.status}`)
    } catch (error) {
      failure ??= error
    }
  }
  throw failure
}

/** RFC 8414 section 3.3: metadata that names another issuer must not be used. */
function jwksUrlOf(body: Buffer, issuer: string): string {
  const metadata = parseJson(body) as { issuer?: unknown; jwks_uri?: unknown }
  if (metadata?.issuer !== issuer) throw new Error(`the metadata is not of issuer ${issuer}`)
  if (typeof metadata.jwks_uri !== 'string') throw new Error(`the metadata of ${issuer} has no jwks_uri`)
  return metadata.jwks_uri
}

/** `jwks_uri` is the issuer's word, not the operator's: off the issuer's own origin it may not point into our network. */
function rulesForKeys(url: string, issuer: string, fetching: KeyFetching): KeyFetching['fetchOptions'] {
  const ownOrigin = URL.parse(url)?.origin === new URL(issuer).origin
  if (ownOrigin) return fetchRulesFor(url, fetching.fetchOptions)
  return { allowPrivateAddresses: false, allowHttp: false, ...fetching.fetchOptions }
}
