import type { Command } from 'commander'
import { Option } from 'commander'
import { type AdminApi, path, withAdminApi } from '../admin-api.ts'
import { wrongUse } from '../cli-error.ts'
import { group, type ListOptions, listLeaf, type ServerOptions, serverLeaf } from '../command.ts'
import { deleted } from '../deleted.ts'
import { note, printList, printResource } from '../output.ts'
import { readText } from '../read-text.ts'
import type { Client, ClientKey } from '../resources.ts'

interface AddOptions extends ServerOptions {
  jwk?: string
  jwksUrl?: string
  generate?: string
  certificate?: string
  alg: 'ES256' | 'RS256' | 'EdDSA'
  label?: string
}

export function clientKeyCommands(client: Command): void {
  const key = group(client, 'key', 'public keys of a client, for private_key_jwt')

  serverLeaf(
    key,
    'add <client>',
    'let a client prove itself with a key; give one of --jwk, --jwks-url, --generate, --certificate',
    'countersign client key add svc-order-processor --generate order-processor.jwk',
  )
    .option('--jwk <file>', 'a public key that the client has the private half of (JWK or PEM)')
    .option('--jwks-url <url>', 'fetch the keys from there')
    .option('--certificate <file>', 'a certificate that it shows in TLS (PEM; self_signed_tls_client_auth)')
    .option(
      '--generate <file>',
      'make a pair and write the private key there, mode 0600 (PKCS#8 for *.pem, else a JWK)',
    )
    .addOption(new Option('--alg <algorithm>', 'for --generate').choices(['ES256', 'RS256', 'EdDSA']).default('ES256'))
    .option('--label <text>', 'to tell it from others')
    .action(addKey)

  listLeaf(
    key,
    'list <client>',
    'list the public keys of a client',
    'countersign client key list svc-order-processor',
  ).action(listKeys)

  serverLeaf(
    key,
    'remove <client> <kid>',
    'no longer accept a key',
    'countersign client key remove svc-order-processor 8sJm-Zk3v',
  ).action(removeKey)
}

async function addKey(client: string, options: AddOptions): Promise<void> {
  const sources = [options.jwk, options.jwksUrl, options.generate, options.certificate].filter(
    (source) => source !== undefined,
  )
  if (sources.length !== 1)
    throw wrongUse(
      'say where the key comes from with exactly one of --jwk FILE, --jwks-url URL, --generate FILE, --certificate FILE',
    )
  await withAdminApi(options, async (admin) => {
    if (options.jwksUrl !== undefined) return fetchKeysFrom(options.jwksUrl, client, admin, options)
    if (options.generate !== undefined) return addGenerated(options.generate, client, admin, options)
    if (options.certificate !== undefined) {
      const certificate = await readText(options.certificate, 'a certificate')
      if (certificate.includes('PRIVATE KEY'))
        throw wrongUse(`${options.certificate} holds a private key; give the certificate alone`)
      return publish({ certificate }, client, admin, options)
    }
    const { readPublicJwk } = await import('../client-keys.ts')
    await publish({ jwk: await readPublicJwk(options.jwk!) }, client, admin, options)
  })
}

async function fetchKeysFrom(url: string, id: string, admin: AdminApi, options: AddOptions): Promise<void> {
  if (options.label !== undefined) throw wrongUse('--label is for a single key; leave it out with --jwks-url')
  const client = await admin.send<Client>('PATCH', path`/clients/${id}`, { jwks_uri: url })
  printResource(client, options, [
    ['client', client.id],
    ['keys fetched from', client.jwks_uri],
  ])
}

async function addGenerated(file: string, client: string, admin: AdminApi, options: AddOptions): Promise<void> {
  // Asked first, so that no key is left lying about for a client that does not exist.
  await admin.get<Client>(path`/clients/${client}`)
  const { writeKeyPair } = await import('../client-keys.ts')
  const publicJwk = await writeKeyPair(file, options.alg)
  try {
    await publish({ jwk: publicJwk }, client, admin, options)
  } catch (error) {
    note(`The private key is in ${file}, but its public key was not taken; add it with --jwk or delete the file.`)
    throw error
  }
  if (!options.json) note(`\nThe private key is in ${file}, readable by you only; it was sent nowhere.`)
}

async function publish(
  credential: { jwk: object } | { certificate: string },
  client: string,
  admin: AdminApi,
  options: AddOptions,
): Promise<void> {
  const label = options.label === undefined ? {} : { label: options.label }
  const key = await admin.send<ClientKey>('POST', path`/clients/${client}/keys`, { ...credential, ...label })
  printResource(key, options, [
    ['kid', key.kid],
    ['client', key.client_id],
    ['algorithm', key.algorithm],
    ['label', key.label],
    ['created', key.created_at],
  ])
}

async function listKeys(client: string, options: ListOptions): Promise<void> {
  const { limit, cursor } = options
  const page = await withAdminApi(options, (admin) =>
    admin.list<ClientKey>(path`/clients/${client}/keys`, { limit, cursor }),
  )
  const nothing = `Client ${client} has no keys; make one with: countersign client key add ${client} --generate FILE`
  printList(page, { ...options, nothing }, [
    { title: 'KID', value: (key) => key.kid },
    { title: 'ALG', value: (key) => key.algorithm },
    { title: 'LABEL', value: (key) => key.label },
    { title: 'CREATED', value: (key) => key.created_at },
    { title: 'LAST USED', value: (key) => key.last_used_at ?? 'never' },
  ])
}

async function removeKey(client: string, kid: string, options: ServerOptions): Promise<void> {
  await withAdminApi(options, (admin) => admin.send('DELETE', path`/clients/${client}/keys/${kid}`))
  deleted(`Key ${kid} of client ${client}`, { kid, client_id: client }, options, 'removed')
}
