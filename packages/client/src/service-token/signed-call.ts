import {
  httpBinding,
  md5RequestHash,
  type ServiceTokenHeader,
  serviceTokenHeaders,
  TokenError,
} from '@countersign/tokens'
import { ClientError } from '../client-error.ts'
import type { ServiceDirectory } from './service-directory.ts'
import type { ServiceSigner } from './service-signer.ts'
import { currentTenant, type TenantOption } from './tenant.ts'

export interface SigningOptions {
  /** Says which service is at an address. What it does not know is named by its origin. */
  directory?: ServiceDirectory
  /** The tenant that calls are made for; a function is asked for each call. */
  tenant?: TenantOption
  /** Default `x-m2m-token`. */
  header?: ServiceTokenHeader
}

/** A request as it will stand on the wire. */
export interface FinalCall {
  /** Of `addressOf` */
  url: URL
  /** Upper case */
  method: string
  content: Uint8Array
}

/** A new token for this one sending. Throws ClientError `body_not_signable` for what the profile cannot bind. */
export function signCall(signer: ServiceSigner, call: FinalCall, { directory, tenant }: SigningOptions): string {
  const { url, method, content } = call
  const bound = { method, target: url.pathname + url.search, content }
  if (signer.profile === 'md5') return signer.signMd5(md5Hash(bound))
  return signer.sign({
    audience: directory?.audienceOf(url.href) ?? url.origin,
    binding: httpBinding(bound),
    tenant: currentTenant(tenant),
  })
}

/**
 * The address as it is sent: without fragment, and without the `?` of an empty query, which some HTTP clients put on the
 * wire and others do not. What is left is put there by all of them as it is.
 */
export function addressOf(url: URL): URL {
  const address = new URL(url)
  address.hash = ''
  if (address.search === '') address.search = ''
  return address
}

/**
 * Refuses what would make the token go elsewhere than it says, or stand twice.
 * @throws ClientError `token_given`, `invalid_target`
 */
export function refuseUnsignable(url: URL, header: (name: string) => string | undefined): void {
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new ClientError('invalid_target', 'only calls to http and https addresses can be signed')
  }
  const given = serviceTokenHeaders.find((name) => header(name) !== undefined)
  if (given !== undefined) {
    throw new ClientError(
      'token_given',
      `the call has an ${given} header already; leave it out, because each call gets a token of its own here, or make ` +
        'the call with a plain fetch',
    )
  }
  const host = header('host')
  if (host !== undefined && host.toLowerCase() !== url.host) {
    throw new ClientError(
      'invalid_target',
      `the Host header names another receiver than ${url.origin}, for which the token is signed; call its own address`,
    )
  }
}

export function redirected(url: URL, method: string, status: number): ClientError {
  return new ClientError(
    'redirected',
    `${url.origin} answered ${method} with a redirect, which is not followed with a token that is signed for this one ` +
      'call; call the final address itself, or do not have redirects followed and decide',
    { status },
  )
}

export function bodyNotSignable(kind: string): ClientError {
  return new ClientError(
    'body_not_signable',
    `${kind} cannot be signed, because its bytes are not known before it is sent; give the whole body as a string or a Buffer`,
  )
}

function md5Hash(call: { method: string; target: string; content: Uint8Array }): string {
  try {
    return md5RequestHash(call)
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
    throw new ClientError(
      'body_not_signable',
      'the md5 profile signs only JSON bodies; send JSON, or sign with the profile m2m',
    )
  }
}
