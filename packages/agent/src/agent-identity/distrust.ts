import { SpiffeError, verifyX509Svid } from '@countersign/spiffe'
import type { AgentLog } from '../agent-log.ts'
import { fetchOwnBundle } from '../bundles/fetch-bundles.ts'
import { type Clock, nowSeconds } from '../clock.ts'
import { openServerConnection, type ServerTrust } from '../server-connection/server-connection.ts'
import type { AgentIdentity } from './agent-identity.ts'

/**
 * Why the server does not take this SVID any more; undefined where it does, or cannot be asked. It says nothing to whom it
 * does not trust; to whoever shows no certificate it gives its bundle.
 */
export async function distrustOf(
  { certificates }: AgentIdentity,
  trust: ServerTrust,
  options: { address: string; trustDomain: string; clock: Clock; log: AgentLog },
): Promise<SpiffeError | undefined> {
  const { trustDomain, clock, log } = options
  const connection = openServerConnection({ ...options, trust })
  try {
    const { bundle } = await fetchOwnBundle(connection, trustDomain, log)
    verifyX509Svid(certificates, new Map([[trustDomain, bundle]]), nowSeconds(clock))
  } catch (fault) {
    return fault instanceof SpiffeError && fault.code === 'untrusted_svid' ? fault : undefined
  } finally {
    connection.close()
  }
  return undefined
}
