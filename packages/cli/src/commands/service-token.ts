import { type Command, Option } from 'commander'
import { CliError, wrongUse } from '../cli-error.ts'
import { group, leaf } from '../command.ts'
import { findUrl } from '../connection.ts'
import { formatInstant } from '../instant.ts'
import { note, type OutputOptions, paint, printJson, printResource, writeLine } from '../output.ts'
import { printable } from '../printable.ts'
import { readText } from '../read-text.ts'
import type { CallOptions, SignedCall } from '../service-token/signed-call.ts'
import type { Refusal } from '../service-token/verify-token.ts'

interface VerifyOptions extends CallOptions, OutputOptions {
  as?: string
  url?: string
}

export function serviceTokenCommands(service: Command): void {
  const token = group(service, 'token', 'tokens that services sign themselves, one for each call')

  callOptions(
    leaf(
      token,
      'create',
      'sign a token for one call, as the service of SERVICE_SHORT_NAME and SERVICE_SECRET_KEY or _FILE',
      [
        `countersign service token create --to inventory-service --method POST --target '/v1/stock?sku=1' --body '{"n":1}'`,
        `countersign service token create --topic orders.created --key 7 --message '{"orderId":7}'`,
        'countersign service token create --to inventory-service --rpc /shop.Inventory/DecreaseStock --message-file request.bin',
      ].join('\n'),
    ).addOption(new Option('--to <service>', 'the receiver; for Kafka it is the topic').helpGroup('Options:')),
  ).action(create)

  callOptions(
    leaf(
      token,
      'verify [token]',
      'say whether a receiver would take a token for this call, and if not, why; exit 1 if not. Uses nothing up',
      `countersign service token verify - --as inventory-service --method POST --target '/v1/stock?sku=1' --body '{"n":1}'`,
    )
      .option('--as <service>', 'the receiver; also SERVICE_SHORT_NAME')
      .option('--to <service>', 'as for create: the receiver, where --as does not name it')
      .option('--url <url>', 'the server that has the keys of senders; also JWKS_URL and COUNTERSIGN_URL'),
  ).action(verify)
}

function callOptions(command: Command): Command {
  const grouped = (title: string) => (flags: string, description: string) =>
    command.addOption(new Option(flags, description).helpGroup(title))
  const http = grouped('HTTP:')
  http('--method <method>', 'default GET, or POST with a body')
  http('--target <target>', 'path and query as the receiver gets them')
  http('--body <text>', 'the body')
  http('--body-file <file>', 'holds the body, byte for byte; - is stdin')
  const kafka = grouped('Kafka:')
  kafka('--topic <topic>', 'the topic of the record')
  kafka('--key <text>', 'its key; default none')
  kafka('--message <json>', 'its value')
  const carrier = new Option('--carrier <carrier>', 'where the token will stand; default payload: in the JSON message')
  command.addOption(carrier.choices(['header', 'payload']).helpGroup('Kafka:'))
  const grpc = grouped('gRPC:')
  grpc('--rpc </pkg.Service/Method>', 'the method')
  grpc('--message-file <file>', "holds the serialised message (or Kafka's); none: requests are streamed")
  const profile = new Option('--profile <profile>', 'md5 for receivers that have not moved yet; default m2m')
  return command
    .addOption(profile.choices(['m2m', 'md5']).helpGroup('Token:'))
    .addOption(new Option('--tenant <tenant>', 'the tenant that the call is made for').helpGroup('Token:'))
}

async function create(options: CallOptions & OutputOptions): Promise<void> {
  const { described, readCall } = await import('../service-token/signed-call.ts')
  const { createToken } = await import('../service-token/create-token.ts')
  const call = await readCall(options)
  const token = createToken(call, options)
  const { parseJwt } = await import('@countersign/tokens')
  const { header, claims } = parseJwt(token)
  if (options.json) return printJson({ token, header, claims })
  writeLine(token)
  const seconds = Number(claims.exp) - Number(claims.iat)
  const where = call.transport === 'kafka' ? '' : ` at ${claims.aud}`
  const times = options.profile === 'md5' ? 'any number of times and at any receiver' : `once${where}`
  note(`Good for ${seconds} s, ${times}, for ${printable(described(call))}. ${placeFor(call)}`)
}

function placeFor(call: SignedCall): string {
  if (call.transport === 'http') return 'Send it as the header x-m2m-token.'
  if (call.transport === 'grpc') {
    const place = 'Send it as the metadata x-m2m-token.'
    return call.message === null ? `${place} A method that takes one message needs that in --message-file.` : place
  }
  if (call.carrier === 'header') return 'Send it as the record header m2m-token.'
  return 'Send it as the member M2MToken of the message.'
}

async function verify(argument: string | undefined, options: VerifyOptions): Promise<void> {
  const { described, readCall } = await import('../service-token/signed-call.ts')
  const { verifyToken } = await import('../service-token/verify-token.ts')
  const token = await readToken(argument, options)
  const call = await readCall(options)
  const { as = options.to, profile, tenant } = options
  const receiver = { as, jwksUrl: await keysUrl(options), md5: profile === 'md5', tenant }
  const verdict = await verifyToken(token, call, receiver)
  for (const notice of verdict.notices) note(`note: ${notice}`)
  if (!verdict.accepted) {
    const { accepted, receiver, code, reason, detail } = verdict
    process.exitCode = 1
    if (options.json) return printJson({ accepted, receiver, code, reason, detail })
    throw new CliError(printable(refusal(verdict, call)))
  }
  const { claims, credentialId: kid, clientId } = verdict.caller
  if (options.json) {
    return printJson({ accepted: true, receiver: verdict.receiver, kid, claims, single_use: 'not_checked' })
  }
  printResource(claims, options, [
    ['sender', clientId],
    ['receiver', verdict.receiver],
    ['call', described(call)],
    ...(claims.tenant === undefined ? [] : [['tenant', claims.tenant] as const]),
    ['signed', `${formatInstant(claims.iat)}, with the key ${kid}`],
    ['expires', formatInstant(claims.exp)],
  ])
  writeLine(`\n${paint('green', `${verdict.receiver} would take this token for this call.`)}`)
  note(
    claims.req === undefined
      ? 'Tokens of the md5 profile may be used again, at any receiver, until they expire.'
      : 'Whether it was used before was not looked at, and it is not used up by this.',
  )
}

function refusal({ receiver, code, reason, detail, isListed }: Refusal, call: SignedCall): string {
  if (code === 'unavailable') {
    return `whether ${receiver} would take this token cannot be said: ${detail}; check JWKS_URL, and that it can be reached from here`
  }
  const said = `${receiver} would refuse this token: ${detail}`
  if (isListed) return `${said}; change M2M_BLOCK_LIST or ALLOWED_M2M_CLIENTS of the receiver`
  if (reason === 'aud' && call.transport === 'kafka') return `${said}; sign it for this --topic`
  const cure = cures[reason]
  return cure === undefined ? said : `${said}; ${cure}`
}

const cures: Readonly<Record<string, string>> = {
  aud: 'sign it with --to that receiver, or name the audience in its M2M_AUDIENCES',
  expired: 'sign a new one for each attempt',
  kid: "publish the sender's key with: countersign service register NAME --jwk FILE",
  sender: "publish the sender's key with: countersign service register NAME --jwk FILE",
  typ: 'tokens of the md5 profile are verified with --profile md5',
}

/** --url wins over JWKS_URL, and that over the server that the other commands talk to. */
async function keysUrl(options: VerifyOptions): Promise<string | undefined> {
  if (options.url === undefined && process.env.JWKS_URL?.trim()) return undefined
  const url = await findUrl(options)
  if (url !== undefined) return `${url}/$service/.well-known/jwks.json`
  throw wrongUse(
    "where the sender's key is published is not known; set JWKS_URL, such as https://auth.example.com/$service/.well-known/jwks.json, or give --url",
  )
}

async function readToken(argument: string | undefined, { bodyFile, messageFile }: CallOptions): Promise<string> {
  const isPiped = argument === undefined || argument === '-'
  if (isPiped && (bodyFile === '-' || messageFile === '-')) {
    throw wrongUse('standard input cannot be both the token and the content; give the token as an argument')
  }
  if (argument === undefined && process.stdin.isTTY) {
    throw wrongUse('no token is given; give it as an argument, or pipe it in with -')
  }
  const token = (isPiped ? await readText('-', 'a token') : argument).trim()
  if (token === '') throw wrongUse('the token is empty; give it as an argument, or pipe it in with -')
  return token
}
