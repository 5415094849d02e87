import type { Command } from 'commander'
import { path, withAdminApi } from '../admin-api.ts'
import { wrongUse } from '../cli-error.ts'
import { group, type ListOptions, leaf, listLeaf, type ServerOptions, serverLeaf } from '../command.ts'
import { deleted } from '../deleted.ts'
import { note, type OutputOptions, printJson, printList, printResource, writeLine } from '../output.ts'
import type { Service } from '../resources.ts'
import { serviceTokenCommands } from './service-token.ts'

export function serviceCommands(program: Command, description: string): void {
  const service = group(program, 'service', description)

  leaf(
    service,
    'keygen',
    'make an Ed25519 pair: the private half for the service, the public JWK for register',
    'countersign service keygen --out order.pem | countersign service register order --jwk -',
  )
    .option('--out <file>', 'write the private key there (PKCS#8 PEM, mode 0600) in place of printing it')
    .action(generateKey)

  serverLeaf(
    service,
    'register <name>',
    'publish the public key of a service, in the place of those that it had',
    'countersign service register order --jwk order.jwk',
  )
    .requiredOption('--jwk <file>', 'its public key (JWK or PEM); - is stdin')
    .option('--add', 'beside the keys that it has, to rotate without a gap')
    .action(register)

  serverLeaf(
    service,
    'unregister <name>',
    'no longer publish the keys of a service, or one of them',
    'countersign service unregister order --kid 8sJm-Zk3v',
  )
    .option('--kid <kid>', 'only this key')
    .action(unregister)

  listLeaf(service, 'list', 'list registered services', 'countersign service list').action(listServices)

  serverLeaf(service, 'get <name>', 'show a service and its public keys', 'countersign service get order').action(
    getService,
  )

  serviceTokenCommands(service)
}

async function generateKey(options: OutputOptions & { out?: string }): Promise<void> {
  const { makeServiceKey } = await import('../service-keys.ts')
  const { secretKey, jwk } = await makeServiceKey(options.out)
  if (options.json) {
    const secret =
      options.out === undefined ? { service_secret_key: secretKey } : { service_secret_key_file: options.out }
    printJson({ ...secret, jwk })
    return
  }
  if (options.out === undefined) writeLine(`SERVICE_SECRET_KEY="${secretKey.replaceAll('\n', '\\n')}"`)
  else note(`The private key is in ${options.out}, readable by you only: SERVICE_SECRET_KEY_FILE=${options.out}`)
  writeLine(JSON.stringify(jwk))
  if (options.out === undefined) {
    note(
      '\nThe first line is for the service alone; the second is public: countersign service register NAME --jwk FILE',
    )
  }
}

async function register(name: string, options: ServerOptions & { jwk: string; add?: boolean }): Promise<void> {
  const { readPublicJwk } = await import('../client-keys.ts')
  const jwk = await readPublicJwk(options.jwk)
  if (jwk.crv !== 'Ed25519') {
    throw wrongUse(`${options.jwk} is no Ed25519 key; make a pair for a service with: countersign service keygen`)
  }
  await withAdminApi(options, async (admin) => {
    const service = options.add
      ? await admin.send<Service>('POST', path`/services/${name}/keys`, { jwk })
      : await admin.send<Service>('PUT', path`/services/${name}`, { jwk })
    printService(service, options, admin.connection.url)
  })
}

async function unregister(name: string, options: ServerOptions & { kid?: string }): Promise<void> {
  const { kid } = options
  await withAdminApi(options, (admin) =>
    kid === undefined
      ? admin.send('DELETE', path`/services/${name}`)
      : admin.send('DELETE', path`/services/${name}/keys/${kid}`),
  )
  if (kid === undefined) deleted(`Service ${name}`, { name }, options, 'unregistered')
  else deleted(`Key ${kid} of service ${name}`, { name, kid }, options, 'removed')
}

async function listServices(options: ListOptions): Promise<void> {
  const { limit, cursor } = options
  const page = await withAdminApi(options, (admin) => admin.list<Service>('/services', { limit, cursor }))
  const nothing = 'There are no services yet; register one with: countersign service register NAME --jwk FILE'
  printList(page, { ...options, nothing }, [
    { title: 'NAME', value: ({ name }) => name },
    { title: 'KEYS', value: kidsOf },
    { title: 'UPDATED', value: ({ updated_at }) => updated_at },
  ])
}

async function getService(name: string, options: ServerOptions): Promise<void> {
  await withAdminApi(options, async (admin) =>
    printService(await admin.get<Service>(path`/services/${name}`), options, admin.connection.url),
  )
}

function printService(service: Service, options: OutputOptions, url: string): void {
  printResource(service, options, [
    ['service', service.name],
    ['keys', kidsOf(service)],
    ['published at', `${url}/${service.name}/.well-known/jwks.json`],
    ['registered', service.created_at],
    ['updated', service.updated_at],
  ])
}

function kidsOf({ jwks }: Service): (string | undefined)[] {
  return jwks.keys.map(({ kid }) => kid)
}
