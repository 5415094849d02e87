import { parseSpiffeId, type SpiffeId } from './spiffe-id.ts'
import { isSystemId } from './system-ids.ts'

/**
 * Whether an ID is what a pattern says: exactly the ID, or with `/*` at its end any ID below it, by whole segments
 * (`spiffe://example.org/a/*` means `/a/b` and `/a/b/c`, not `/a` and not `/ab`). Servers and agents, whose IDs are below
 * `/spire`, are no workloads: `spiffe://example.org/*` does not mean them, `spiffe://example.org/spire/*` does. Throws `invalid_spiffe_id` for a
 * pattern that is none; an ID that is none matches nothing.
 */
export function matchesSpiffePattern(id: SpiffeId | string, pattern: string): boolean {
  const { base, below } = readPattern(pattern)
  const candidate = typeof id === 'string' ? parsed(id) : id
  if (candidate === undefined || candidate.trustDomain !== base.trustDomain) return false
  if (!below) return candidate.path === base.path
  return candidate.path.startsWith(`${base.path}/`) && (isSystemId(base) || !isSystemId(candidate))
}

/** Throws `invalid_spiffe_id` unless the text is a SPIFFE ID, or one with `/*` at its end. */
export function checkSpiffePattern(pattern: string): void {
  readPattern(pattern)
}

function readPattern(pattern: string): { base: SpiffeId; below: boolean } {
  const below = pattern.endsWith('/*')
  return { base: parseSpiffeId(below ? pattern.slice(0, -2) : pattern), below }
}

function parsed(text: string): SpiffeId | undefined {
  try {
    return parseSpiffeId(text)
  } catch {
    return undefined
  }
}
