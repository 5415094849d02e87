import { isScopeToken } from '@countersign/tokens'
import { z } from 'zod'
import { exactly, line, lineOrNothing, time, toTime } from '../admin/fields.ts'
import { clientIdPattern } from '../clients/client.ts'
import { longestTokenLifetimeSeconds } from '../signing-keys/lifecycle.ts'
import type { ApiRow } from '../storage/tables.ts'

export interface ApiScope {
  name: string
  description: string
}

/** Ids are ours; an audience that looked like one could be taken for another API. */
export const apiIdPattern = /^api_[A-Za-z0-9_-]{12}$/

/** Visible ASCII only, so that equal to the eye is equal to the byte; no fragment (RFC 8707 section 2). */
const audiencePattern = /^[\x21-\x7e]{1,256}$/

export const audience = z
  .string()
  .regex(audiencePattern, { error: 'must be 1 to 256 visible ASCII characters, without spaces' })
  .refine((text) => !text.includes('#'), { error: 'must not have a fragment (#)' })
  .refine((text) => !text.startsWith('api_'), { error: 'must not begin with api_, as the ids of APIs do' })
  .meta({ description: 'What `aud` of its tokens says; compared exactly', examples: ['https://orders.example.com'] })

const scopeName = z.string().max(128).refine(isScopeToken, {
  error: 'must be visible ASCII without spaces, quotes and backslashes (RFC 6749 section 3.3)',
})

const scopes = z
  .array(exactly({ name: scopeName, description: lineOrNothing(500).default('') }))
  .max(200)
  .refine((list) => new Set(list.map(({ name }) => name)).size === list.length, { error: 'names a scope twice' })

const signingAlgorithm = z.enum(['ES256', 'RS256', 'EdDSA'])
const tokenLifetime = z.int().min(1).max(longestTokenLifetimeSeconds).meta({ description: 'Seconds' })
const introspectors = z
  .array(z.string().regex(clientIdPattern, { error: 'must be a client id' }))
  .max(100)
  .refine((list) => new Set(list).size === list.length, { error: 'names a client twice' })
  .meta({ description: 'Clients that may introspect its tokens and read its revocations' })

export const newApi = exactly({
  audience,
  name: line(200).optional(),
  scopes: scopes.default([]),
  signing_alg: signingAlgorithm.default('ES256'),
  token_ttl: tokenLifetime.default(3600),
  introspectors: introspectors.default([]),
})

export const apiPatch = exactly({
  name: line(200).optional(),
  scopes: scopes.optional(),
  signing_alg: signingAlgorithm.optional(),
  token_ttl: tokenLifetime.optional(),
  introspectors: introspectors.optional(),
})

export type ApiPatch = z.infer<typeof apiPatch>

export const api = z.object({
  id: z.string(),
  audience: z.string(),
  name: z.string(),
  scopes: z.array(z.object({ name: z.string(), description: z.string() })),
  signing_alg: signingAlgorithm,
  token_ttl: z.int(),
  introspectors: z.array(z.string()),
  created_at: time,
  updated_at: time,
})

export type ApiView = z.infer<typeof api>

export function viewApi(row: ApiRow): ApiView {
  return {
    id: row.id,
    audience: row.audience,
    name: row.name,
    scopes: scopesOf(row),
    signing_alg: signingAlgorithm.parse(row.signing_alg),
    token_ttl: row.token_ttl,
    introspectors: JSON.parse(row.introspectors),
    created_at: toTime(row.created_at),
    updated_at: toTime(row.updated_at),
  }
}

export function scopesOf(row: Pick<ApiRow, 'scopes'>): ApiScope[] {
  const list: { name: string; description?: string }[] = JSON.parse(row.scopes)
  return list.map(({ name, description }) => ({ name, description: description ?? '' }))
}
