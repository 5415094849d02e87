import type { Api, Client } from '../resources.ts'
import type { WantedEntry } from './entry.ts'

/** What an access file says, with every default written out: the whole of each API, client and entry that it names. */
export interface Access {
  apis: WantedApi[]
  clients: WantedClient[]
  entries: WantedEntry[]
}

export type WantedApi = Omit<Api, 'id' | 'created_at' | 'updated_at'>

export type WantedClient = Omit<Client, 'created_at' | 'updated_at' | 'client_secret' | 'secret_id'> & {
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
