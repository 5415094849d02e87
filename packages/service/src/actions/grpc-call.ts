import type { ApiDescription } from '../description.ts'

/** Calls an API of another service over gRPC, signed for that service. Rejects where the call failed or was refused. */
export type GrpcCall = (call: {
  readonly action: string
  /** The service's short name. */
  readonly service: string
  /** Where its REST side is; the gRPC port is in the description. */
  readonly baseUrl: string
  readonly api: ApiDescription
  readonly parameters: Readonly<Record<string, unknown>>
  readonly tenant: string | undefined
  readonly timeoutMilliseconds: number
}) => Promise<unknown>
