import { LineCounter, parseDocument } from 'yaml'
import { CliError } from '../cli-error.ts'
import {
  type Access,
  defaultApi,
  defaultClient,
  tlsClientAuthNames,
  type WantedApi,
  type WantedClient,
  type WantedGrant,
} from './access.ts'
import { entryKey, readEntry } from './entry.ts'
import { type Path, Places } from './places.ts'
import { Reader } from './reader.ts'

/** The access that a YAML text describes. @throws CliError with every fault, one a line, each with its place */
export function parseAccess(text: string, file: string): Access {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const places = new Places(document, lines, file)
  // What follows the first is mostly its echo.
  const [error] = document.errors
  if (error) throw new CliError(`${places.at(error.pos[0])}: ${error.message}`, 2)
  const reader = new Reader(places)
  const access = readAccess(document.toJS({ maxAliasCount: 100 }) ?? {}, reader)
  if (reader.faults.length > 0) throw new CliError(reader.faults.join('\n'), 2)
  return access
}

function readAccess(value: unknown, reader: Reader): Access {
  const { apis, clients, entries } = reader.object(value, [], ['apis', 'clients', 'entries'])
  const access = {
    apis: reader.list(apis, ['apis'], readApi),
    clients: reader.list(clients, ['clients'], readClient),
    entries: reader.list(entries, ['entries'], readEntry),
  }
  reader.noneTwice(
    access.apis.map(({ audience }) => audience),
    ['apis'],
    'audience',
  )
  reader.noneTwice(
    access.clients.map(({ id }) => id),
    ['clients'],
    'id',
  )
  const keys = access.entries.map(entryKey)
  keys.forEach((key, index) => {
    if (keys.indexOf(key) === index) return
    reader.fault(['entries', index], 'an entry with this spiffe_id, parent_id and selectors is there already')
  })
  return access
}

function readApi(value: unknown, path: Path, reader: Reader): WantedApi {
  const api = reader.object(
    value,
    path,
    ['audience', 'name', 'scopes', 'signing_alg', 'token_ttl', 'introspectors'],
    ['audience'],
  )
  const audience = reader.text(api.audience, [...path, 'audience']) ?? ''
  return {
    audience,
    name: reader.text(api.name, [...path, 'name']) ?? audience.slice(0, 200),
    scopes: readScopes(api.scopes, [...path, 'scopes'], reader),
    signing_alg:
      reader.choice(api.signing_alg, [...path, 'signing_alg'], ['ES256', 'RS256', 'EdDSA']) ?? defaultApi.signing_alg,
    token_ttl: reader.seconds(api.token_ttl, [...path, 'token_ttl']) ?? defaultApi.token_ttl,
    introspectors: reader.texts(api.introspectors, [...path, 'introspectors']) ?? [],
  }
}

/** `read:orders: Read orders`, or a list of names, or of `{ name, description }`. */
function readScopes(value: unknown, path: Path, reader: Reader): WantedApi['scopes'] {
  if (Array.isArray(value)) {
    const scopes = value.map((item, index) => readScope(item, [...path, index], reader))
    reader.noneTwice(
      scopes.map(({ name }) => name),
      path,
      'name',
    )
    return scopes
  }
  return Object.entries(reader.members(value, path)).map(([name, description]) => ({
    name: reader.scope(name, [...path, name]),
    description: description === '' ? '' : (reader.text(description, [...path, name]) ?? ''),
  }))
}

function readScope(value: unknown, path: Path, reader: Reader): WantedApi['scopes'][number] {
  if (typeof value === 'string') return { name: reader.scope(value, path), description: '' }
  const scope = reader.object(value, path, ['name', 'description'], ['name'])
  const name = reader.scope(scope.name, [...path, 'name'])
  return {
    name,
    description: scope.description === '' ? '' : (reader.text(scope.description, [...path, 'description']) ?? ''),
  }
}

function readClient(value: unknown, path: Path, reader: Reader): WantedClient {
  const known = [
    'id',
    'name',
    'disabled',
    'default_audience',
    'auth_methods',
    'assertion_audience',
    'jwks_uri',
    'spiffe_ids',
    'tls_client_auth',
    'grants',
  ]
  const client = reader.object(value, path, known, ['id'])
  const id = reader.text(client.id, [...path, 'id']) ?? ''
  return {
    id,
    name: reader.text(client.name, [...path, 'name']) ?? id,
    disabled: reader.boolean(client.disabled, [...path, 'disabled']) ?? defaultClient.disabled,
    default_audience: reader.text(client.default_audience, [...path, 'default_audience']) ?? null,
    auth_methods: reader.texts(client.auth_methods, [...path, 'auth_methods']) ?? null,
    assertion_audience:
      reader.choice(client.assertion_audience, [...path, 'assertion_audience'], ['issuer', 'token_endpoint']) ??
      defaultClient.assertion_audience,
    jwks_uri: reader.text(client.jwks_uri, [...path, 'jwks_uri']) ?? null,
    spiffe_ids: reader.texts(client.spiffe_ids, [...path, 'spiffe_ids']) ?? [],
    tls_client_auth: readTlsClientAuth(client.tls_client_auth, [...path, 'tls_client_auth'], reader),
    grants: readGrants(client.grants, [...path, 'grants'], reader),
  }
}

/** `tls_client_auth: { san_dns: orders.example.com }` */
function readTlsClientAuth(value: unknown, path: Path, reader: Reader): WantedClient['tls_client_auth'] {
  if (value === undefined || value === null) return null
  const members = reader.object(value, path, tlsClientAuthNames)
  const entries = Object.entries(members).map(([name, text]) => [name, reader.text(text, [...path, name]) ?? ''])
  if (entries.length !== 1) reader.fault(path, `tls_client_auth needs exactly one of ${tlsClientAuthNames.join(', ')}`)
  return Object.fromEntries(entries)
}

/** `https://orders.example.com: [read:orders]`, or a list of `{ audience, scopes }`. */
function readGrants(value: unknown, path: Path, reader: Reader): WantedGrant[] {
  if (Array.isArray(value)) {
    const grants = value.map((item, index) => {
      const grant = reader.object(item, [...path, index], ['audience', 'scopes'], ['audience'])
      const audience = reader.text(grant.audience, [...path, index, 'audience']) ?? ''
      const scopes = reader.texts(grant.scopes, [...path, index, 'scopes']) ?? []
      return { audience, scopes, place: reader.place([...path, index]) }
    })
    reader.noneTwice(
      grants.map(({ audience }) => audience),
      path,
      'audience',
    )
    return grants
  }
  return Object.entries(reader.members(value, path)).map(([audience, scopes]) => ({
    audience,
    scopes: reader.texts(scopes, [...path, audience]) ?? [],
    place: reader.place([...path, audience]),
  }))
}
