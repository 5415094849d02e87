import { type AdminApi, path } from '../admin-api.ts'
import { ServerRefusal } from '../server-answer.ts'

/** A sentence for each trust domain that an entry federates with and whose bundle nobody can have from this server. */
export async function unknownTrustDomains(admin: AdminApi, trustDomains: readonly string[]): Promise<string[]> {
  const doubts = await Promise.all(trustDomains.map((trustDomain) => doubtAbout(admin, trustDomain)))
  return doubts.flatMap((doubt) => doubt ?? [])
}

async function doubtAbout(admin: AdminApi, trustDomain: string): Promise<string | undefined> {
  try {
    await admin.get(path`/trust-bundles/${trustDomain}`)
    return undefined
  } catch (error) {
    // Who may not look hears no doubt: the entry is made.
    if (!(error instanceof ServerRefusal) || error.status !== 404) return undefined
    return `the server federates with no ${trustDomain} yet, so that no workload gets its bundle; see: countersign bundle set --help`
  }
}
