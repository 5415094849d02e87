import { parseSpiffeId } from '@countersign/spiffe'
import type { SPIFFEID } from '@countersign/spiffe/protocol/spire-types'

/** `spiffe://example.org/x` as SPIRE's messages have it. */
export function toWireId(id: string): SPIFFEID {
  const { trustDomain, path } = parseSpiffeId(id)
  return { trustDomain, path }
}
