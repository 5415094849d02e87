import { withAdminApi } from '../admin-api.ts'
import { CliError } from '../cli-error.ts'
import type { ConnectionOptions } from '../connection.ts'
import { roughDuration } from '../duration.ts'
import type { SigningKey } from '../resources.ts'
import { examineAuthorities } from './examine-authorities.ts'
import type { Finding } from './finding.ts'

const rotationDays = 30

/** What only an administrator can see: whether the credential works, and how old the signing keys are. */
export async function examineAccess(options: ConnectionOptions): Promise<Finding[]> {
  try {
    return await withAdminApi(options, async (admin) => {
      const { items } = await admin.list<SigningKey>('/signing-keys')
      const works: Finding = { check: 'access', status: 'ok', says: 'the saved or given credential works' }
      return [works, ...examineKeys(items, Date.now()), ...(await examineAuthorities(admin))]
    })
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    const [says, ...cure] = error.message.split('; ')
    if (error.reason === 'insufficient_scope') {
      const works: Finding = { check: 'access', status: 'ok', says: 'the saved or given credential works' }
      return [
        works,
        { check: 'keys', status: 'skipped', says: 'it may not see the signing keys', cure: cure.join('; ') },
      ]
    }
    // Wrong use is a credential that is missing, which for this check is no fault.
    const status = error.exitCode === 2 ? 'skipped' : 'problem'
    return [{ check: 'access', status, says: says!, ...(cure.length > 0 && { cure: cure.join('; ') }) }]
  }
}

export function examineKeys(keys: readonly SigningKey[], nowMilliseconds: number): Finding[] {
  const active = keys.filter(({ status }) => status === 'active')
  if (active.length === 0) {
    return [
      {
        check: 'keys',
        status: 'problem',
        says: 'no signing key is active',
        cure: 'make one with: countersign key rotate --alg ES256',
      },
    ]
  }
  return active.map(({ algorithm, activated_at, created_at }) => {
    const age = (nowMilliseconds - Date.parse(activated_at ?? created_at)) / 1000
    const says = `the ${algorithm} key has been signing for ${roughDuration(Math.max(age, 0))}`
    if (age < 2 * rotationDays * 86_400) return { check: 'keys', status: 'ok', says }
    return {
      check: 'keys',
      status: 'warning',
      says: `${says}, although keys should rotate by themselves`,
      cure: `look why in the server's log, and rotate with: countersign key rotate --alg ${algorithm}`,
    }
  })
}
