export { type SignedCallOptions, type SignedCalls, signedCallOptions } from './grpc/signed-call-options.ts'
export type { CallSigner } from './grpc/signing-call.ts'
