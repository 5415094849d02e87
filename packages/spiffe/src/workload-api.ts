export {
  createJwtSource,
  type JwtSource,
  type JwtSourceOptions,
} from './workload-api/jwt-source.ts'
export type { TrustBundles } from './workload-api/received-bundles.ts'
export { defaultSocket } from './workload-api/socket-address.ts'
export {
  createWorkloadApi,
  type JwtSvidRequest,
  type WorkloadApi,
  type WorkloadApiOptions,
} from './workload-api/workload-api.ts'
export type { X509Context } from './workload-api/x509-context.ts'
export { createX509Source, type X509Source, type X509SourceOptions } from './workload-api/x509-source.ts'
