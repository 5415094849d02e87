import type { AdminApi } from '../admin-api.ts'
import { CliError } from '../cli-error.ts'
import { roughDuration } from '../duration.ts'
import type { CertificateAuthority } from '../resources.ts'
import type { Finding } from './finding.ts'

const kinds = { x509: 'the CA of X.509-SVIDs', jwt: 'the key of JWT-SVIDs' } as const

/** Whether SVIDs can be signed, and will be; nothing is found of a server without a trust domain. */
export async function examineAuthorities(admin: AdminApi): Promise<Finding[]> {
  try {
    const { items } = await admin.list<CertificateAuthority>('/certificate-authorities')
    return (['x509', 'jwt'] as const).map((kind) => examineKind(kind, items, Date.now()))
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    if (error.reason === 'no_trust_domain') return []
    const [says, ...cure] = error.message.split('; ')
    const status = error.reason === 'insufficient_scope' ? 'skipped' : 'problem'
    return [{ check: 'authorities', status, says: says!, ...(cure.length > 0 && { cure: cure.join('; ') }) }]
  }
}

/** The next one is prepared at half of an authority's life, and signs when a sixth is left. */
export function examineKind(
  kind: keyof typeof kinds,
  authorities: readonly CertificateAuthority[],
  nowMilliseconds: number,
): Finding {
  const check = 'authorities'
  const own = authorities.filter((authority) => authority.kind === kind)
  const active = own.find(({ status }) => status === 'active')
  const cure = `look why in the server's log; to have another one: countersign ca rotate --kind ${kind}`
  if (active === undefined) return { check, status: 'problem', says: `${kinds[kind]} is missing`, cure }
  const left = (Date.parse(active.expires_at) - nowMilliseconds) / 1000
  if (left <= 0) return { check, status: 'problem', says: `${kinds[kind]} has expired`, cure }
  const lifetime = (Date.parse(active.expires_at) - Date.parse(active.created_at)) / 1000
  const says = `${kinds[kind]} signs, and is good for ${roughDuration(left)} more`
  const isSucceeded = own.some(({ status }) => status === 'prepared')
  if (left > lifetime / 3 || isSucceeded) return { check, status: 'ok', says }
  return { check, status: 'warning', says: `${says}, but none is prepared to follow it`, cure }
}
