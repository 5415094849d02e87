export { type SignedCallOptions, type SignedCalls, signedCallOptions } from './grpc/signed-call-options.ts'
