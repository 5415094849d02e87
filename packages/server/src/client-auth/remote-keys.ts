import { createJwksSource, type GuardedFetchOptions, type JwksSource } from '@countersign/outbound'
import { LRUCache } from 'lru-cache'

/**
 * Keys that clients publish at their own `jwks_uri`. The URL was given by whoever registered the client, so it is
 * fetched with every guard against reaching into our own network.
 */
export function createRemoteKeys(fetchOptionsFor: (url: string) => GuardedFetchOptions): (url: string) => JwksSource {
  const sources = new LRUCache<string, JwksSource>({ max: 10_000 })
  return (url) => {
    let source = sources.get(url)
    if (!source) {
      source = createJwksSource({ url, fetchOptions: fetchOptionsFor(url) })
      sources.set(url, source)
    }
    return source
  }
}
