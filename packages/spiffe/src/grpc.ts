export { grpcChannelCredentials } from './grpc/channel-credentials.ts'
export { peerOf } from './grpc/peer-interceptor.ts'
export { grpcServerCredentials } from './grpc/server-credentials.ts'
export { allowAny, allowId, allowIf, allowTrustDomain, type PeerAuthorizer } from './tls/peer-authorizer.ts'
