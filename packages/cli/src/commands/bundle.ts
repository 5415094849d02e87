import { type Command, Option } from 'commander'
import { path, withAdminApi } from '../admin-api.ts'
import { CliError, wrongUse } from '../cli-error.ts'
import { group, type ListOptions, listLeaf, type ServerOptions, serverLeaf } from '../command.ts'
import { findUrl } from '../connection.ts'
import { deleted } from '../deleted.ts'
import { note, type OutputOptions, printJson, printList, printResource, writeLine } from '../output.ts'
import { reach } from '../reach.ts'
import { readText } from '../read-text.ts'
import type { TrustBundle } from '../resources.ts'
import { readAnswer } from '../server-answer.ts'

export function bundleCommands(program: Command, description: string): void {
  const bundle = group(program, 'bundle', description)

  serverLeaf(
    bundle,
    'show [domain]',
    "print a trust bundle: the server's own, or of a trust domain that it federates with",
    'countersign bundle show --format pem > bundle.pem',
  )
    .addOption(
      new Option('--format <format>', 'the SPIFFE document, or its CA certificates')
        .choices(['spiffe', 'pem'])
        .default('spiffe'),
    )
    .action(show)

  listLeaf(bundle, 'list', 'list the trust domains that the server federates with', 'countersign bundle list').action(
    list,
  )

  serverLeaf(
    bundle,
    'set <domain>',
    'federate with a trust domain: by its bundle, by where to fetch it, or both',
    'countersign bundle set partner.example --endpoint-url https://partner.example/spiffe/bundle --profile https_web',
  )
    .option('--document <file>', 'its bundle in SPIFFE format: the first one is needed for https_spiffe; - is stdin')
    .option('--endpoint-url <url>', 'where to fetch it, again and again')
    .addOption(
      new Option(
        '--profile <profile>',
        'how that server is known: by a public certificate, or by its SPIFFE ID',
      ).choices(['https_web', 'https_spiffe']),
    )
    .option('--endpoint-id <id>', 'the SPIFFE ID of that server, for https_spiffe')
    .action(set)

  serverLeaf(
    bundle,
    'delete <domain>',
    'no longer federate with a trust domain',
    'countersign bundle delete partner.example',
  ).action(remove)
}

async function show(domain: string | undefined, options: ServerOptions & { format: 'spiffe' | 'pem' }): Promise<void> {
  const document = domain === undefined ? await ownBundle(options) : await bundleOf(domain, options)
  if (options.json) printJson(document)
  else if (options.format === 'spiffe') writeLine(JSON.stringify(document, undefined, 2))
  else writeLine(await pemOf(document))
}

/** Everybody may see it: it says whom to trust. */
async function ownBundle(options: ServerOptions): Promise<object> {
  const server = await findUrl(options)
  if (server === undefined) throw wrongUse('no server is named; name it with --url or COUNTERSIGN_URL')
  const url = `${server}/spiffe/bundle`
  return (await readAnswer(await reach(url), url)) as object
}

async function bundleOf(domain: string, options: ServerOptions): Promise<object> {
  const { bundle } = await withAdminApi(options, (admin) => admin.get<TrustBundle>(path`/trust-bundles/${domain}`))
  if (bundle !== null) return bundle
  throw new CliError(`the bundle of ${domain} was not fetched yet; see why with: countersign bundle list`)
}

async function list(options: ListOptions): Promise<void> {
  const { limit, cursor } = options
  const page = await withAdminApi(options, (admin) => admin.list<TrustBundle>('/trust-bundles', { limit, cursor }))
  const nothing =
    'The server federates with no trust domain; begin with: countersign bundle set DOMAIN --endpoint-url URL --profile https_web'
  printList(page, { ...options, nothing }, [
    { title: 'TRUST DOMAIN', value: ({ trust_domain }) => trust_domain },
    { title: 'FROM', value: ({ endpoint_url }) => endpoint_url },
    { title: 'PROFILE', value: ({ endpoint_profile }) => endpoint_profile },
    { title: 'FETCHED', value: ({ fetched_at }) => fetched_at },
    { title: 'FAULT', value: ({ failure }) => failure },
  ])
}

async function set(
  domain: string,
  options: ServerOptions & { document?: string; endpointUrl?: string; profile?: string; endpointId?: string },
): Promise<void> {
  const { document, endpointUrl, profile, endpointId } = options
  const bundle = document === undefined ? undefined : await readDocument(document)
  const federation = await withAdminApi(options, (admin) =>
    admin.send<TrustBundle>('PUT', path`/trust-bundles/${domain}`, {
      ...(bundle !== undefined && { bundle }),
      ...(endpointUrl !== undefined && { endpoint_url: endpointUrl }),
      ...(profile !== undefined && { endpoint_profile: profile }),
      ...(endpointId !== undefined && { endpoint_spiffe_id: endpointId }),
    }),
  )
  print(federation, options)
  if (options.json) return
  note(`\nEntries get it with --federates-with ${domain}.`)
  if (endpointUrl !== undefined) note('It is fetched within seconds; whether that went well: countersign bundle list')
}

async function readDocument(file: string): Promise<object> {
  try {
    return JSON.parse(await readText(file, 'a trust bundle in SPIFFE format'))
  } catch (error) {
    if (error instanceof SyntaxError) throw new CliError(`${file} is no JSON; a trust bundle begins with {"keys": [`)
    throw error
  }
}

async function remove(domain: string, options: ServerOptions): Promise<void> {
  await withAdminApi(options, (admin) => admin.send('DELETE', path`/trust-bundles/${domain}`))
  deleted(`Trust domain ${domain}`, { trust_domain: domain }, options, 'forgotten')
}

function print(bundle: TrustBundle, options: OutputOptions): void {
  printResource(bundle, options, [
    ['trust domain', bundle.trust_domain],
    ['fetched from', bundle.endpoint_url],
    ['profile', bundle.endpoint_profile],
    ['endpoint id', bundle.endpoint_spiffe_id],
    ['sequence', bundle.sequence_number],
    ['fetched', bundle.fetched_at],
    ['fault', bundle.failure],
  ])
}

async function pemOf(document: object): Promise<string> {
  const { formatPemCertificates, parseBundleDocument } = await import('@countersign/spiffe')
  // The document does not say whose it is, and its certificates are the same whosever it is.
  const { x509Authorities } = parseBundleDocument('unnamed', JSON.stringify(document))
  return formatPemCertificates(x509Authorities).trimEnd()
}
