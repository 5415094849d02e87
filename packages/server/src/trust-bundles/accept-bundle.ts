import { type Bundle, formatBundleDocument, parseBundleDocument, SpiffeError } from '@countersign/spiffe'

/** Larger bundles are not read. */
export const largestBundle = 256 * 1024

/** Why a bundle is not put in the place of the one that is known. */
export class BundleRefused extends Error {
  readonly code: 'invalid_bundle' | 'stale_bundle'
  constructor(code: BundleRefused['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'BundleRefused'
    this.code = code
  }
}

export interface AcceptedBundle {
  bundle: Bundle
  /** As it is kept: written anew, without what we do not understand */
  text: string
  /** Whether it says anything that the known one does not */
  isNew: boolean
}

/**
 * Judges a bundle document by itself and against what is known of its trust domain: it may repeat that, or follow it, and
 * never go back to what was before (SPIFFE Trust Domain and Bundle, section 4.1.2).
 * @param known the text that was kept, if any
 * @throws BundleRefused
 */
export function acceptBundle(trustDomain: string, document: string | Uint8Array, known: string | null): AcceptedBundle {
  const bundle = parse(trustDomain, document)
  const text = formatBundleDocument(bundle)
  if (known === null) return { bundle, text, isNew: true }
  if (text === known) return { bundle, text, isNew: false }
  const before = parse(trustDomain, known).sequenceNumber
  const after = bundle.sequenceNumber
  if (before !== undefined && (after === undefined || after < before)) {
    throw new BundleRefused(
      'stale_bundle',
      `its sequence number ${after ?? '(none)'} is before ${before}, which is known already: an old bundle may bring back authorities that were withdrawn. If the trust domain has begun anew, delete what is known of it first`,
    )
  }
  if (after !== undefined && after === before && keysOf(text) !== keysOf(known)) {
    throw new BundleRefused(
      'stale_bundle',
      `it differs from the one that is known, and has the same sequence number ${after}: which of them is right cannot be told`,
    )
  }
  return { bundle, text, isNew: true }
}

function parse(trustDomain: string, document: string | Uint8Array): Bundle {
  try {
    return parseBundleDocument(trustDomain, document)
  } catch (error) {
    if (error instanceof SpiffeError) throw new BundleRefused('invalid_bundle', error.message, { cause: error })
    throw error
  }
}

function keysOf(text: string): string {
  return JSON.stringify(JSON.parse(text).keys)
}
