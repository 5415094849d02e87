import type { WantedEntry } from './entry.ts'

/** What an access file says, with every default written out: the whole of each API, client and entry that it names. */
export interface Access {
  apis: WantedApi[]
  clients: WantedClient[]
  entries: WantedEntry[]
}

/** The members are those of the admin API. */
export interface WantedApi {
  audience: string
  name: string
  scopes: { name: string; description: string }[]
  signing_alg: string
  token_ttl: number
  introspectors: string[]
}

export interface WantedClient {
  id: string
  name: string
  disabled: boolean
  default_audience: string | null
  auth_methods: string[] | null
  assertion_audience: string
  jwks_uri: string | null
  spiffe_ids: string[]
  tls_client_auth: Record<string, string> | null
  grants: WantedGrant[]
}

export interface WantedGrant {
  audience: string
  scopes: string[]
  /** Where the file says so, such as `access.yaml:12` */
  place: string
}

export const defaultApi = { signing_alg: 'ES256', token_ttl: 3600, introspectors: [] as string[] }

/** Exactly one of them says which certificates are a client's. */
export const tlsClientAuthNames = ['subject_dn', 'san_dns', 'san_uri', 'san_ip', 'san_email']

export const defaultClient = {
  disabled: false,
  default_audience: null,
  auth_methods: null,
  assertion_audience: 'issuer',
  jwks_uri: null,
  spiffe_ids: [] as string[],
  tls_client_auth: null,
}
