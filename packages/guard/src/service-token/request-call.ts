import { type RequestLike, readHeader } from '../bearer-token.ts'
import { GuardError } from '../guard-error.ts'
import { readFetchContent } from './fetch-content.ts'
import type { ReceivedCall, Transport } from './received-call.ts'
import { isMounting, type ServiceTokenSettings } from './service-token-options.ts'
import { invalidServiceToken } from './service-token-refusal.ts'

/** A call whose content is not read yet. */
export interface PendingCall {
  readonly transport: Transport
  /** For logs: without the query. */
  readonly target: string
  /** Whether much may have to be read: then the signature is checked first, and again with the rest. */
  readonly isLong: boolean
  receive(): Promise<ReceivedCall>
}

/** An HTTP request as the guard got it; its content is read when everything before it holds. */
export function requestCall(request: RequestLike, settings: ServiceTokenSettings): PendingCall {
  return {
    ...describeRequest(request),
    isLong: mayBeLong(request),
    async receive() {
      const { method = '', url = '' } = request
      const got = pathAndQuery(url)
      const target = mounted(got, request, settings)
      const content = await contentOf(request, settings)
      return { transport: 'http', method, target, content }
    },
  }
}

export function describeRequest({ method = '', url = '' }: RequestLike): { transport: 'http'; target: string } {
  return { transport: 'http', target: `${method} ${pathAndQuery(url).split('?', 1)[0]}`.slice(0, 300) }
}

const muchToRead = 65_536

/** Strangers are not to make us wait for more than they could send in the headers. */
function mayBeLong({ headers, method }: RequestLike): boolean {
  const length = readHeader(headers, 'content-length')
  if (length !== undefined) return !(Number(length) <= muchToRead)
  return readHeader(headers, 'transfer-encoding') !== undefined || (method !== 'GET' && method !== 'HEAD')
}

/** Of an absolute-form, and of a Fetch request's URL, without decoding or normalising anything. */
function pathAndQuery(url: string): string {
  const rest = url.startsWith('/') ? url : url.replace(/^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?#]*/, '')
  return rest === '' || rest.startsWith('?') ? `/${rest}` : rest
}

function mounted(target: string, request: RequestLike, { mountedAt, name }: ServiceTokenSettings): string {
  const prefix = mountedAt(request)
  // What a header said, perhaps: it decides nothing but where the path begins.
  if (!isMounting(prefix)) throw invalidServiceToken({ reason: 'target', realm: name })
  return target.startsWith('/') ? prefix + target : target
}

function contentOf(request: RequestLike, { maxBody, name }: ServiceTokenSettings): Promise<Uint8Array> {
  if (request.readContent !== undefined) return request.readContent(maxBody)
  if (request instanceof Request) return readFetchContent(request, maxBody)
  throw new GuardError({
    code: 'body_already_read',
    reason: 'body_already_read',
    message: 'The guard was given no content to check the service token against; give the request "readContent".',
    realm: name,
  })
}
