import { readFileSync } from 'node:fs'
import type { TokenErrorCode } from '@countersign/tokens'

/** The same tokens for every implementation; vectors/README.md describes the members. */
export interface VectorFile {
  description: string
  now: number
  issuer: string
  audience: string
  algorithms: readonly string[]
  jwks: { keys: readonly { kid: string }[] }
  vectors: Vector[]
}

export interface Vector {
  name: string
  token: string
  accept: boolean
  reason?: TokenErrorCode
  /** Only verifiers that know these rules must refuse it; without it, every JWT library must */
  appliesTo?: readonly string[]
}

export function readVectors(name: 'access-tokens' | 'client-assertions'): VectorFile {
  return JSON.parse(readFileSync(new URL(`${name}.json`, import.meta.url), 'utf8'))
}
