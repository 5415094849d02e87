import { BundleService } from '@countersign/spiffe/protocol/spire-bundle'
import { status } from '@grpc/grpc-js'
import { AgentError } from '../agent-error.ts'
import type { AgentLog } from '../agent-log.ts'
import { grpcCode } from '../server-connection/call-failure.ts'
import type { ServerConnection } from '../server-connection/server-connection.ts'
import { parseReceivedBundle, type ReceivedBundle } from './received-bundle.ts'

const mostAtOnce = 10

export async function fetchOwnBundle(
  connection: ServerConnection,
  trustDomain: string,
  log: AgentLog,
): Promise<ReceivedBundle> {
  const message = await connection.call(BundleService.getBundle, { outputMask: undefined })
  return parseReceivedBundle(message, trustDomain, log)
}

/** The bundles of the named trust domains; one that the server does not have (yet) is left out. */
export async function fetchFederatedBundles(
  connection: ServerConnection,
  trustDomains: readonly string[],
  log: AgentLog,
): Promise<Map<string, ReceivedBundle>> {
  const found = new Map<string, ReceivedBundle>()
  const waiting = [...trustDomains]
  const worker = async () => {
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      const bundle = await fetchFederatedBundle(connection, name, log)
      if (bundle) found.set(name, bundle)
    }
  }
  await Promise.all(Array.from({ length: Math.min(mostAtOnce, waiting.length) }, worker))
  return found
}

async function fetchFederatedBundle(
  connection: ServerConnection,
  trustDomain: string,
  log: AgentLog,
): Promise<ReceivedBundle | undefined> {
  try {
    const message = await connection.call(BundleService.getFederatedBundle, { trustDomain, outputMask: undefined })
    return parseReceivedBundle(message, trustDomain, log)
  } catch (error) {
    if (grpcCode(error) === status.NOT_FOUND) return undefined
    if (!(error instanceof AgentError)) throw error
    // One foreign bundle that is no good must not keep the others from being renewed.
    log.warn({ trust_domain: trustDomain, reason: error.message }, 'a federated bundle cannot be used and is left out')
    return undefined
  }
}
