import { httpBinding, parseJson, serviceName, TokenError } from '@countersign/tokens'
import { wrongUse } from '../cli-error.ts'
import { readBytes } from '../read-text.ts'

/** The options that say which call a token is for. */
export interface CallOptions {
  to?: string
  method?: string
  target?: string
  body?: string
  bodyFile?: string
  topic?: string
  key?: string
  message?: string
  messageFile?: string
  carrier?: 'header' | 'payload'
  rpc?: string
  profile?: 'm2m' | 'md5'
  tenant?: string
}

/** A call as it will be made. */
export type SignedCall =
  | { transport: 'http'; method: string; target: string; content: Buffer }
  | { transport: 'grpc'; method: string; message: Buffer | null }
  | { transport: 'kafka'; carrier: 'header'; topic: string; key: Buffer | null; value: Buffer | null }
  | { transport: 'kafka'; carrier: 'payload'; topic: string; key: Buffer | null; value: Buffer; message: object }

/** @throws CliError exit 2 for options that describe no call, or two */
export async function readCall(options: CallOptions): Promise<SignedCall> {
  const transport = transportOf(options)
  refuseForeign(options, transport)
  if (transport === 'http') return readRequest(options)
  return transport === 'grpc' ? readRpc(options) : readRecord(options)
}

type Transport = SignedCall['transport']

const optionsOf: Record<Transport, readonly (keyof CallOptions)[]> = {
  http: ['target', 'method', 'body', 'bodyFile'],
  kafka: ['topic', 'key', 'message', 'messageFile', 'carrier'],
  grpc: ['rpc', 'messageFile'],
}

const leading = { http: '--target', kafka: '--topic', grpc: '--rpc' }

function transportOf({ target, topic, rpc }: CallOptions): Transport {
  const named: Transport[] = []
  if (target !== undefined) named.push('http')
  if (topic !== undefined) named.push('kafka')
  if (rpc !== undefined) named.push('grpc')
  const [transport, other] = named
  if (transport === undefined) {
    throw wrongUse(
      'a token is for one call: give --method and --target for HTTP, --topic and --message for Kafka, or --rpc for gRPC',
    )
  }
  if (other === undefined) return transport
  throw wrongUse(`${leading[transport]} and ${leading[other]} are two calls; each needs a token of its own`)
}

function refuseForeign(options: CallOptions, transport: Transport): void {
  const all = new Set(Object.values(optionsOf).flat())
  const foreign = [...all].find((name) => options[name] !== undefined && !optionsOf[transport].includes(name))
  if (foreign === undefined) return
  const flag = `--${foreign.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
  if (transport === 'grpc' && foreign === 'message') {
    throw wrongUse('of a gRPC call the bytes of the serialised message are signed; give them with --message-file')
  }
  const belongs = (Object.keys(optionsOf) as Transport[]).find((one) => optionsOf[one].includes(foreign))!
  throw wrongUse(`${flag} goes with ${leading[belongs]}, not with ${leading[transport]}; leave one of them out`)
}

async function readRequest(options: CallOptions): Promise<SignedCall> {
  const { target = '', body, bodyFile } = options
  const content = (await readOne({ text: body, file: bodyFile }, 'body')) ?? Buffer.alloc(0)
  const method = options.method ?? (body === undefined && bodyFile === undefined ? 'GET' : 'POST')
  if (!/^(?:https?:\/\/[^/?#]+)?(?:\/|\?|$)/i.test(target) || !/^[\x21-\x7e]+$/.test(target) || target.includes('#')) {
    throw wrongUse(
      `--target ${JSON.stringify(target)} must be path and query as the receiver gets them, such as '/v1/stock?sku=1': from / on, without fragment, other characters percent-encoded`,
    )
  }
  try {
    httpBinding({ method, target, content })
  } catch (error) {
    if (error instanceof TokenError) throw wrongUse(`--method ${JSON.stringify(method)} is no method of HTTP`)
    throw error
  }
  return { transport: 'http', method: method.toUpperCase(), target, content }
}

async function readRpc({ rpc = '', messageFile, profile }: CallOptions): Promise<SignedCall> {
  if (profile === 'md5') throw wrongUse('the md5 profile has no form for gRPC; leave --profile out')
  if (!/^\/[\w.]+\/\w+$/.test(rpc)) {
    throw wrongUse(`--rpc ${JSON.stringify(rpc)} must name the method in full, such as /shop.Inventory/DecreaseStock`)
  }
  const message = messageFile === undefined ? null : await readBytes(messageFile, 'the serialised message')
  return { transport: 'grpc', method: rpc, message }
}

async function readRecord(options: CallOptions): Promise<SignedCall> {
  const { topic = '', carrier = 'payload', key: keyText } = options
  if (!/^[\w.-]{1,249}$/.test(topic)) throw wrongUse(`--topic ${JSON.stringify(topic)} is no name of a topic`)
  const key = keyText === undefined ? null : Buffer.from(keyText)
  const value = await readOne({ text: options.message, file: options.messageFile }, 'message')
  if (carrier === 'header' && options.profile !== 'md5') return { transport: 'kafka', carrier, topic, key, value }
  if (value === null)
    throw wrongUse('--message is missing; only a token in a header can stand beside a record without value')
  const message = objectIn(value)
  if (carrier === 'header') return { transport: 'kafka', carrier, topic, key, value }
  return { transport: 'kafka', carrier, topic, key, value, message }
}

/** What --body or --message gives, or the file of the same name. */
async function readOne(given: { text?: string; file?: string }, name: 'body' | 'message'): Promise<Buffer | null> {
  if (given.text !== undefined && given.file !== undefined) {
    throw wrongUse(`--${name} and --${name}-file are two of one kind; give one of them`)
  }
  if (given.text !== undefined) return Buffer.from(given.text)
  return given.file === undefined ? null : readBytes(given.file, `the ${name}`)
}

export function objectIn(bytes: Uint8Array): object {
  try {
    const value = parseJson(Buffer.from(bytes), { maximumBytes: Math.max(bytes.length, 1) })
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
  }
  throw wrongUse(
    'the message is not a JSON object, which alone can carry its token inside; for other messages add --carrier header',
  )
}

/** Whom the token is for: a service, or what stands for its receiver elsewhere. */
export function audienceOf(options: CallOptions, call: SignedCall): string {
  const { to } = options
  if (to === undefined && call.transport === 'kafka') return `kafka:${call.topic}`
  if (to === undefined) {
    throw wrongUse('--to is missing; name the receiving service, such as --to inventory-service')
  }
  if (/^https?:/i.test(to) && URL.canParse(to) && new URL(to).origin === to) return to
  try {
    return serviceName(to)
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
    throw wrongUse(
      `--to ${JSON.stringify(to)} is no service, such as inventory-service, and no origin, such as https://api.example.com`,
    )
  }
}

/** The call in one line. */
export function described(call: SignedCall): string {
  if (call.transport === 'http') return `${call.method} ${call.target}`
  if (call.transport === 'grpc') return call.message === null ? `${call.method} with a stream of requests` : call.method
  const key = call.key === null ? 'without a key' : `with the key ${JSON.stringify(call.key.toString())}`
  return `a record of ${call.topic} ${key}${call.value === null ? ' and without a value' : ''}`
}
