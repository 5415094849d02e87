import { isIP } from 'node:net'
import { isPublicAddress } from '@countersign/outbound'
import { z } from 'zod'
import { exactly, line, time, toTime } from '../admin/fields.ts'
import { audience } from '../apis/api.ts'
import { clientAuthMethods } from '../client-auth/client-auth-methods.ts'
import type { ClientRow } from '../storage/tables.ts'
import { clientIdPattern } from './client.ts'
import { spiffeIds, tlsClientAuth } from './tls-client-auth.ts'

/** A client as the admin API shows and takes it. */

const clientId = z
  .string()
  .regex(clientIdPattern, { error: 'must be 1 to 128 of A-Z a-z 0-9 . _ ~ - and begin with a letter or digit' })

const methodNames = clientAuthMethods.map(({ name }) => name)
const authMethods = z
  .array(z.enum(methodNames))
  .min(1)
  .refine((list) => new Set(list).size === list.length, { error: 'names a method twice' })
  .meta({ description: 'Null: every method that the client has a credential for' })

const assertionAudience = z.enum(['issuer', 'token_endpoint']).meta({
  description: 'What `aud` of its assertions may be; token_endpoint is for libraries that still send that',
})

const jwksUri = z.string().min(1).max(2048).meta({ description: 'Where the client publishes its public keys: https' })

export const clientPatch = exactly({
  name: line(200).optional(),
  disabled: z.boolean().optional(),
  default_audience: audience.nullable().optional(),
  auth_methods: authMethods.nullable().optional(),
  assertion_audience: assertionAudience.optional(),
  jwks_uri: jwksUri.nullable().optional(),
  spiffe_ids: spiffeIds.optional(),
  tls_client_auth: tlsClientAuth.nullable().optional(),
})

export const newClient = exactly({
  id: clientId.optional(),
  ...clientPatch.shape,
  with_secret: z.boolean().default(false).meta({ description: 'Adds `client_secret` and `secret_id` to the answer' }),
})

export type ClientPatch = z.infer<typeof clientPatch>

export const client = z.object({
  id: z.string(),
  name: z.string(),
  disabled: z.boolean(),
  default_audience: z.string().nullable(),
  auth_methods: z.array(z.string()).nullable(),
  assertion_audience: assertionAudience,
  jwks_uri: z.string().nullable(),
  spiffe_ids: z.array(z.string()),
  tls_client_auth: z.record(z.string(), z.string()).nullable(),
  created_at: time,
  updated_at: time,
})

export const createdClient = client.extend({
  client_secret: z.string().optional().meta({ description: 'Shown this once' }),
  secret_id: z.string().optional(),
})

export type ClientView = z.infer<typeof client>

export function viewClient(row: ClientRow): ClientView {
  return {
    id: row.id,
    name: row.name,
    disabled: row.disabled !== 0,
    default_audience: row.default_audience,
    auth_methods: row.auth_methods === null ? null : JSON.parse(row.auth_methods),
    assertion_audience: row.assertion_audience === 'token_endpoint' ? 'token_endpoint' : 'issuer',
    jwks_uri: row.jwks_uri,
    spiffe_ids: JSON.parse(row.spiffe_ids),
    tls_client_auth: row.tls_client_auth === null ? null : JSON.parse(row.tls_client_auth),
    created_at: toTime(row.created_at),
    updated_at: toTime(row.updated_at),
  }
}

/**
 * @returns what is wrong with a `jwks_uri`, or undefined. Names are looked up, and checked again, at every fetch; here
 * only what can never be right is refused.
 */
export function jwksUriFault(text: string, rules: { allowLoopback: boolean }): string | undefined {
  if (!/^[\x21-\x7e]+$/.test(text) || !URL.canParse(text)) return 'must be an absolute https URL'
  const url = new URL(text)
  if (rules.allowLoopback && isLoopbackHttp(url)) return undefined
  if (url.protocol !== 'https:') return 'must be https'
  if (url.username !== '' || url.password !== '') return 'must not hold a user name or password'
  if (url.hash !== '') return 'must not have a fragment'
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (isIP(host) !== 0 && !isPublicAddress(host)) return 'must not point at a private address'
  if (/(^|\.)(localhost|local|internal)\.?$/i.test(host)) return 'must not point at a private name'
  return undefined
}

export function isLoopbackHttp(url: URL): boolean {
  return url.protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
}
