import { type Command, Option } from 'commander'
import { path, withAdminApi } from '../admin-api.ts'
import { durationOption, group, type ListOptions, listLeaf, type ServerOptions, serverLeaf } from '../command.ts'
import { deleted } from '../deleted.ts'
import { note, type OutputOptions, printJson, printList, printResource, writeLine } from '../output.ts'
import type { JoinToken, Node } from '../resources.ts'

export function nodeCommands(program: Command, description: string): void {
  const node = group(program, 'node', description)

  listLeaf(node, 'list', 'list the nodes that have attested themselves', 'countersign node list')
    .addOption(new Option('--type <type>', 'only those that came so').choices(['join_token', 'x509pop', 'k8s_psat']))
    .action(list)

  serverLeaf(
    node,
    'get <node>',
    'show a node and what its attestation told of it',
    'countersign node get spiffe://shop.example/spire/agent/x509pop/3f2c…',
  ).action(get)

  serverLeaf(
    node,
    'ban <node>',
    'refuse a node from now on, and revoke the SVIDs that it got for workloads',
    'countersign node ban spiffe://shop.example/spire/agent/x509pop/3f2c…',
  ).action((id: string, options: ServerOptions) => change(id, 'ban', 'banned', options))

  serverLeaf(
    node,
    'evict <node>',
    'forget a node: it must attest itself anew; also lifts a ban',
    'countersign node evict spiffe://shop.example/spire/agent/x509pop/3f2c…',
  ).action((id: string, options: ServerOptions) => change(id, 'evict', 'evicted', options))

  const token = group(node, 'token', 'join tokens: each lets one node in, once')

  serverLeaf(
    token,
    'create',
    'make a join token for one node; it is printed this once',
    'countersign node token create --ttl 10m > token',
  )
    .option('--ttl <duration>', 'how long it is good (default: 1h)', durationOption)
    .option('--spiffe-id <id>', 'a name of your own for the node, which entries can have as their parent')
    .action(createToken)

  listLeaf(token, 'list', 'list the join tokens that nobody has used', 'countersign node token list').action(listTokens)

  serverLeaf(token, 'delete <id>', 'withdraw a join token', 'countersign node token delete 01JD…').action(deleteToken)
}

async function list(options: ListOptions & { type?: string }): Promise<void> {
  const { limit, cursor, type } = options
  const page = await withAdminApi(options, (admin) =>
    admin.list<Node>('/nodes', { limit, cursor, query: { attestation_type: type } }),
  )
  const nothing =
    type === undefined
      ? 'No node has come yet; let one in with: countersign node token create'
      : `No node has come by ${type}.`
  printList(page, { ...options, nothing }, [
    { title: 'NODE', value: ({ spiffe_id }) => spiffe_id },
    { title: 'BY', value: ({ attestation_type }) => attestation_type },
    { title: 'STANDING', value: standingOf },
    { title: 'ATTESTED', value: ({ attested_at }) => attested_at },
    { title: 'GOOD UNTIL', value: ({ expires_at }) => expires_at },
  ])
}

async function get(id: string, options: ServerOptions): Promise<void> {
  const node = await withAdminApi(options, (admin) => admin.get<Node>(path`/nodes/${id}`))
  printNode(node, options)
}

async function change(id: string, verb: 'ban' | 'evict', done: string, options: ServerOptions): Promise<void> {
  await withAdminApi(options, (admin) => admin.send('POST', `/nodes/${verb}`, { spiffe_id: id }))
  deleted(`Node ${id}`, { spiffe_id: id }, options, done)
}

async function createToken(options: ServerOptions & { ttl?: number; spiffeId?: string }): Promise<void> {
  const token = await withAdminApi(options, (admin) =>
    admin.send<JoinToken>('POST', '/join-tokens', {
      ttl: options.ttl ?? 3600,
      ...(options.spiffeId !== undefined && { spiffe_id: options.spiffeId }),
    }),
  )
  if (options.json) {
    printJson(token)
    return
  }
  writeLine(token.token ?? '')
  note(`\nIt lets one node in, once, until ${token.expires_at}. The node is then ${token.agent_id}`)
}

async function listTokens(options: ListOptions): Promise<void> {
  const { limit, cursor } = options
  const page = await withAdminApi(options, (admin) => admin.list<JoinToken>('/join-tokens', { limit, cursor }))
  printList(page, { ...options, nothing: 'There are no unused join tokens.' }, [
    { title: 'ID', value: ({ id }) => id },
    { title: 'NODE NAME', value: ({ spiffe_id }) => spiffe_id },
    { title: 'CREATED', value: ({ created_at }) => created_at },
    { title: 'GOOD UNTIL', value: ({ expires_at }) => expires_at },
  ])
}

async function deleteToken(id: string, options: ServerOptions): Promise<void> {
  await withAdminApi(options, (admin) => admin.send('DELETE', path`/join-tokens/${id}`))
  deleted(`Join token ${id}`, { id }, options, 'withdrawn')
}

function printNode(node: Node, options: OutputOptions): void {
  printResource(node, options, [
    ['node', node.spiffe_id],
    ['attested by', node.attestation_type],
    ['standing', standingOf(node)],
    ['selectors', node.selectors],
    ['can attest anew', node.reattestable],
    ['attested', node.attested_at],
    ['certificate until', node.expires_at],
    ['serial', node.serial_number],
    ['agent version', node.agent_version],
  ])
}

function standingOf({ banned, expires_at }: Node): string {
  if (banned) return 'banned'
  return Date.parse(expires_at) < Date.now() ? 'expired' : 'good'
}
