import { hash } from 'node:crypto'
import { parseJson } from '../json/parse-json.ts'
import { TokenError } from '../token-error.ts'
import { httpBinding, withoutTokenFields } from './call-binding.ts'

/** An HTTP request as `httpBinding` takes it. */
interface HttpCall {
  method: string
  target: string
  content: Uint8Array
}

/**
 * The hash that we sign for a request in the compatibility profile: MD5 of
 * `JSON.stringify({ method, url, params, data })` with `url` the path, `params` the query, `data` the JSON body, the
 * last two `{}` where there is none. Throws `binding_mismatch` with the part `digest` for a body that is not JSON.
 */
export function md5RequestHash(call: HttpCall): string {
  const { method, path, params, data } = readCall(call)
  return md5({ method, url: path, params: params ?? {}, data: data === undefined ? {} : data.value })
}

/** The hash of a message in the compatibility profile: MD5 of `JSON.stringify` of it without its token fields. */
export function md5MessageHash(message: object): string {
  return md5(withoutTokenFields(message))
}

/**
 * The hashes that are accepted for a received request, at most eight: `url` is the path, or `publicBase` and the path;
 * a query that is not there may be `{}` or left out, and so may a body. What is there must have been hashed.
 * Throws `binding_mismatch` with the part `digest` for a body that is not JSON.
 */
export function md5RequestHashes(call: HttpCall, publicBase?: string): readonly string[] {
  const { method, path, params, data } = readCall(call)
  const urls = publicBase === undefined ? [path] : [path, publicBase.replace(/\/$/, '') + path]
  const paramsForms = params === undefined ? [undefined, {}] : [params]
  const dataForms = data === undefined ? [undefined, {}] : [data.value]
  const forms = urls.flatMap((url) =>
    paramsForms.flatMap((form) => dataForms.map((body) => ({ method, url, params: form, data: body }))),
  )
  return forms.map(md5)
}

function md5(value: object): string {
  return hash('md5', JSON.stringify(value), 'hex')
}

interface CallParts {
  method: string
  path: string
  params: object | undefined
  data: { value: unknown } | undefined
}

function readCall(call: HttpCall): CallParts {
  const { method, target } = httpBinding({ ...call, content: new Uint8Array() }) as { method: string; target: string }
  const queryStart = target.indexOf('?')
  const path = queryStart === -1 ? target : target.slice(0, queryStart)
  const query = queryStart === -1 ? '' : target.slice(queryStart + 1)
  return { method, path, params: readQuery(query), data: readBody(call.content) }
}

/** Every value a string, those of a repeated key an array; undefined for an empty query. */
function readQuery(query: string): object | undefined {
  if (query === '') return undefined
  const params: Record<string, string | string[]> = Object.create(null)
  for (const [name, value] of new URLSearchParams(query)) {
    const known = params[name]
    if (known === undefined) params[name] = value
    else if (Array.isArray(known)) known.push(value)
    else params[name] = [known, value]
  }
  return params
}

function readBody(content: Uint8Array): { value: unknown } | undefined {
  if (content.length === 0) return undefined
  try {
    const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength)
    return { value: parseJson(bytes, { maximumBytes: Number.POSITIVE_INFINITY }) }
  } catch {
    throw new TokenError('binding_mismatch', 'the md5 profile binds JSON bodies only, and this body is none', 'digest')
  }
}
