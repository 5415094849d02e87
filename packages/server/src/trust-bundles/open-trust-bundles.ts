import type { AuditLog } from '../audit/log.ts'
import type { TrustDomainAuthority } from '../certificate-authorities/trust-domain-authority.ts'
import type { ChangeFeed } from '../storage/change-feed.ts'
import type { Store } from '../storage/store.ts'
import { FederatedBundles } from './federated-bundles.ts'
import { refreshBundles } from './refresh-bundles.ts'

export interface TrustBundlesOptions {
  store: Store
  feed: ChangeFeed
  audit: AuditLog
  /** Seconds since the epoch */
  now: () => number
  ca: TrustDomainAuthority
  fetch?: BundleFetchSettings | undefined
  onError?: (what: string, error: unknown) => void
}

export interface BundleFetchSettings {
  /** How often to look for what is due; default 5,000 */
  lookMilliseconds?: number
  /** PEM certificates to trust instead of the system's, at `https_web` endpoints */
  ca?: string
}

/**
 * Reads the bundles of other trust domains, and fetches them when they are due from then on.
 * @throws StoreError `unavailable`
 */
export async function openTrustBundles(
  options: TrustBundlesOptions,
): Promise<{ federated: FederatedBundles; stop(): Promise<void> }> {
  const { store, feed, audit, now, ca, fetch = {}, onError } = options
  const federated = new FederatedBundles({
    store,
    feed,
    onError: (error) => onError?.('reading the bundles of other trust domains', error),
  })
  await federated.load()
  const bundles = { get: (name: string) => (name === ca.trustDomain ? ca.bundle() : federated.get(name)) }
  const stopping = new AbortController()
  const reload = () => federated.load()
  const context = { store, audit, now, bundles, reload, signal: stopping.signal, ca: fetch.ca }
  // Beside each other, as an endpoint that hangs must not hold up the others: what one has claimed no other fetches.
  const refreshing = new Set<Promise<void>>()
  const timer = setInterval(() => {
    const refresh = refreshBundles(context)
      .catch((error) => onError?.('fetching the bundles of other trust domains', error))
      .finally(() => refreshing.delete(refresh))
    refreshing.add(refresh)
  }, fetch.lookMilliseconds ?? 5_000)
  timer.unref()
  return {
    federated,
    async stop() {
      clearInterval(timer)
      stopping.abort()
      await Promise.all(refreshing)
    },
  }
}
