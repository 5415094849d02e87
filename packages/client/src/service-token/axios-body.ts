import { bodyNotSignable } from './signed-call.ts'

export interface SerialisedBody {
  content: Buffer | undefined
  /** What only the serialised form knows: the boundary of a form. */
  headers: Record<string, string>
}

/**
 * The bytes that axios would send for `config.data` as its adapter gets it, after `transformRequest`.
 * @throws ClientError `body_not_signable` for streams, and for what axios would not send either
 */
export async function serialiseAxiosBody(data: unknown): Promise<SerialisedBody> {
  if (data === undefined || data === null || data === '') return { content: undefined, headers: {} }
  if (typeof data === 'string') return plain(Buffer.from(data))
  // Copies: what is signed is sent, whatever becomes of the caller's buffer meanwhile.
  if (ArrayBuffer.isView(data)) return plain(Buffer.from(Buffer.from(data.buffer, data.byteOffset, data.byteLength)))
  if (data instanceof ArrayBuffer || data instanceof SharedArrayBuffer) return plain(Buffer.from(Buffer.from(data)))
  if (data instanceof URLSearchParams) return plain(Buffer.from(data.toString()))
  if (data instanceof FormData || data instanceof Blob) return serialised(data)
  if (isNodeForm(data)) return serialiseNodeForm(data)
  throw bodyNotSignable(
    typeof data === 'object' ? 'a stream, or an object that is not serialised,' : `a ${typeof data}`,
  )
}

function plain(content: Buffer): SerialisedBody {
  return { content, headers: {} }
}

async function serialised(data: FormData | Blob): Promise<SerialisedBody> {
  const response = new Response(data)
  const type = response.headers.get('content-type') ?? 'application/octet-stream'
  return { content: Buffer.from(await response.arrayBuffer()), headers: { 'Content-Type': type } }
}

/** A form of the package form-data, which axios makes in Node of `postForm` and multipart objects. */
interface NodeForm {
  getHeaders(): Record<string, string>
  getBuffer(): Buffer
}

function isNodeForm(data: unknown): data is NodeForm {
  const form = data as Partial<NodeForm>
  return typeof data === 'object' && typeof form.getHeaders === 'function' && typeof form.getBuffer === 'function'
}

function serialiseNodeForm(form: NodeForm): SerialisedBody {
  try {
    return { content: form.getBuffer(), headers: form.getHeaders() }
  } catch {
    throw bodyNotSignable('a form with a stream in it')
  }
}
