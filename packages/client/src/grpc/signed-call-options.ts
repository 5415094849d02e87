import type { ChannelOptions, Interceptor } from '@grpc/grpc-js'
import { currentTenant, type TenantOption } from '../service-token/tenant.ts'
import { type CallSigner, SigningCall } from './signing-call.ts'

export interface SignedCalls {
  /** Who receives the calls: `inventory-service`, or the origin of a URL that is no service of yours. */
  readonly audience: string
  /** The tenant that the calls are made for; a function is asked at each call. */
  readonly tenant?: TenantOption
}

/** Client options of grpc-js, to be given to the client's constructor. */
export type SignedCallOptions = Pick<ChannelOptions, 'grpc.enable_retries'> & { interceptors: Interceptor[] }

/**
 * Makes every call of a grpc-js client carry a service token in the metadata `x-m2m-token`, bound to the method and,
 * where the request is one message, to that message's bytes. What the caller put there himself is replaced; the rest
 * of his metadata, deadlines and cancellation are as ever. The library's own retries are switched off, since each
 * attempt needs a token of its own: retry by calling again.
 *
 * `interceptors` given with a single call replace those of the client (so does grpc-js): repeat these among them,
 * last, so that what is signed is what leaves. A message that a later interceptor swaps is not sent (INTERNAL).
 * A call that cannot be signed ends with INTERNAL before anything was sent.
 */
export function signedCallOptions(signer: CallSigner, { audience, tenant }: SignedCalls): SignedCallOptions {
  const interceptor: Interceptor = (options, nextCall) =>
    new SigningCall(nextCall(options), options, (binding) =>
      signer.sign({ audience, binding, tenant: currentTenant(tenant) }),
    )
  return { interceptors: [interceptor], 'grpc.enable_retries': 0 }
}
