import { SpiffeError, verifyX509Svid } from '@countersign/spiffe'
import type { AgentLog } from '../agent-log.ts'
import { fetchOwnBundle } from '../bundles/fetch-bundles.ts'
import { type Clock, nowSeconds, pause } from '../clock.ts'
import { openServerConnection, type ServerTrust } from '../server-connection/server-connection.ts'
import type { AgentIdentity } from './agent-identity.ts'

/** A replica that has not heard of a new authority yet will have by then. */
const secondLookMilliseconds = 3_000

/**
 * Why the server does not take this SVID any more, at two looks; undefined where it does, or cannot be asked. It says
 * nothing to whom it does not trust; to whoever shows no certificate it gives its bundle.
 */
export async function distrustOf(identity: AgentIdentity, look: Look): Promise<SpiffeError | undefined> {
  if ((await distrustNow(identity, look)) === undefined) return undefined
  await pause(look.clock, secondLookMilliseconds, look.signal)
  return look.signal.aborted ? undefined : distrustNow(identity, look)
}

interface Look {
  readonly address: string
  readonly trustDomain: string
  readonly trust: ServerTrust
  readonly clock: Clock
  readonly log: AgentLog
  readonly signal: AbortSignal
}

async function distrustNow({ certificates }: AgentIdentity, look: Look): Promise<SpiffeError | undefined> {
  const { trustDomain, clock, log } = look
  const connection = openServerConnection(look)
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
