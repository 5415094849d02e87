import { type GuardedFetch, type GuardedFetchOptions, guardedFetch, KeptDocument } from '@countersign/outbound'
import { type Bundle, type BundleSet, parseBundleDocument, parseTrustDomain, SpiffeError } from '@countersign/spiffe'
import { fetchRulesFor } from '../fetch-rules.ts'
import { GuardConfigurationError } from '../guard-error.ts'

export interface BundleSourceOptions {
  /** `example.org`: the document counts for its IDs only. */
  readonly trustDomain: string
  /** The trust domain's bundle document: `/spiffe/bundle` of a Countersign server. https, or http on the machine itself. */
  readonly url: string
  readonly fetchOptions?: GuardedFetchOptions
  /** How long the bundle serves when it cannot be fetched. Default 3600; then callers are refused with 503. */
  readonly staleSeconds?: number
  /** Default `guardedFetch` of @countersign/outbound. */
  readonly fetch?: GuardedFetch
  /** Milliseconds that only go forward. */
  readonly now?: () => number
}

/** A bundle that is looked at again as often as it says itself. */
export interface BundleSource extends BundleSet {
  /** Resolves with the first bundle. */
  readonly ready: Promise<void>
  /** @throws SpiffeError `unavailable` while it cannot be had */
  get(trustDomain: string): Bundle | undefined
}

const maximumBytes = 4 * 1024 * 1024

/**
 * Keeps the bundle of one trust domain, for verifiers that have no agent beside them. The document is believed because TLS proves whose
 * it is (SPIFFE Federation, `https_web`); one with a lower sequence number than the last is not. Throws GuardConfigurationError.
 */
export function createBundleSource(options: BundleSourceOptions): BundleSource {
  const trustDomain = readTrustDomain(options.trustDomain)
  const rules = { maximumBytes, ...fetchRulesFor(options.url, options.fetchOptions ?? {}) }
  const fetch = options.fetch ?? guardedFetch
  let newest = -1
  const document = new KeptDocument<Bundle>({
    staleSeconds: options.staleSeconds,
    now: options.now,
    async load(previous) {
      const conditional: Record<string, string> = previous?.etag === undefined ? {} : { 'if-none-match': previous.etag }
      const answer = await fetch(options.url, { ...rules, headers: { ...rules.headers, ...conditional } })
      if (answer.status === 304) return 'not_modified'
      const value = parseBundleDocument(trustDomain, answer.body)
      const { sequenceNumber = 0, refreshHintSeconds } = value
      if (sequenceNumber < newest) {
        throw new SpiffeError('invalid_bundle', `the bundle has the sequence number ${sequenceNumber} after ${newest}`)
      }
      newest = sequenceNumber
      const { etag } = answer.headers
      return { value, maximumAgeSeconds: refreshHintSeconds, ...(etag !== undefined && { etag }) }
    },
  })
  const ready = document.get().then(() => {})
  // Whoever waits for it hears of it; whoever does not is told at the first request.
  ready.catch(() => {})

  return {
    ready,
    get(name) {
      if (name !== trustDomain) return undefined
      const bundle = document.current()
      if (bundle !== undefined) return bundle
      document.get().catch(() => {})
      throw new SpiffeError('unavailable', `the bundle of ${trustDomain} cannot be had from ${options.url}`)
    },
  }
}

function readTrustDomain(name: string): string {
  try {
    return parseTrustDomain(name)
  } catch (error) {
    throw new GuardConfigurationError(`trustDomain: ${(error as Error).message}`)
  }
}
