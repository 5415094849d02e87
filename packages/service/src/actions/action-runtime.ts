import type { EventPublisher } from '../service-context.ts'
import type { ServiceSettings } from '../settings/settings.ts'
import type { GrpcCall } from './grpc-call.ts'
import type { RemoteApis } from './remote-apis.ts'

/** What actions are run with. */
export interface ActionRuntime {
  readonly settings: ServiceSettings
  readonly timeoutMilliseconds: number
  /** A fetch that signs for whoever is at the address. Throws ActionError `not_signed` where there is no key. */
  signedFetch(action: string, tenant: string | undefined): typeof fetch
  readonly unsignedFetch: typeof fetch
  /** Whether a service of the directory is at the address. */
  isService(url: URL): boolean
  /** The APIs of other services. */
  readonly remoteApis: RemoteApis
  readonly grpcCall: GrpcCall | undefined
  readonly publisher: EventPublisher
}

/** Runs one action. `context` is `this` in its expressions. */
export type ActionRun = (context: object, call: { readonly tenant: string | undefined }) => Promise<unknown>
