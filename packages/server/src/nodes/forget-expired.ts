import type { Authority } from '../authority.ts'
import { Problem } from '../http/problem.ts'
import { deleteEntry } from '../registration-entries/manage-entries.ts'
import { evictNode } from './manage-nodes.ts'

const day = 86_400
/** Nobody gets anything by an expired entry; for so long it is still there to be seen. */
const entryKeptSeconds = day
/** Machines come and go. Nothing is lost with one whose SVID has expired so long ago: it can attest itself again. */
const nodeKeptSeconds = 30 * day
const mostAtOnce = 200

/** Deletes expired entries and forgets nodes that are gone; bans stay. Any replica may do it, or several. */
export async function forgetExpired(authority: Authority): Promise<void> {
  const { database } = authority.store
  const entriesBefore = authority.now() - entryKeptSeconds
  const nodesBefore = authority.now() - nodeKeptSeconds
  const entries = await database
    .selectFrom('registration_entries')
    .select('id')
    .where('expires_at', '<', entriesBefore)
    .limit(mostAtOnce)
    .execute()
  for (const { id } of entries) await unlessGone(deleteEntry(id, authority, {}, { expiredBefore: entriesBefore }))
  const nodes = await database
    .selectFrom('nodes')
    .select('id')
    .where('banned_at', 'is', null)
    .where('expires_at', '<', nodesBefore)
    .limit(mostAtOnce)
    .execute()
  for (const { id } of nodes) await unlessGone(evictNode(id, authority, {}, { expiredBefore: nodesBefore }))
}

/** Another replica was faster, or it has been renewed meanwhile. */
async function unlessGone(work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!(error instanceof Problem && error.code === 'not_found')) throw error
  }
}
