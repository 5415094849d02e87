import type { JwtClaims } from '@countersign/tokens'
import { createTokenSource } from '../access-token.ts'
import { createAdminApi, path } from '../admin-api.ts'
import { adminAudience } from '../admin-audience.ts'
import { CliError } from '../cli-error.ts'
import { postAsClient } from '../client-authentication.ts'
import type { Connection } from '../connection.ts'
import type { Api } from '../resources.ts'
import type { Finding } from './finding.ts'

/** Asks the server whether a token is still good (RFC 7662). Its "no" means something only to whom it tells more. */
export async function judgeRevocation(
  token: string,
  claims: JwtClaims,
  connection: Connection | undefined,
): Promise<Finding> {
  const unknown = (why: string): Finding => ({
    check: 'revocation',
    verdict: 'unknown',
    says: `whether it was revoked is not known: ${why}`,
  })
  if (connection === undefined) return unknown('asking the server needs a credential, see --client-id')
  let active: boolean
  try {
    const answer = (await postAsClient('/oauth/introspect', { token }, connection)) as { active?: unknown }
    active = answer.active === true
  } catch (error) {
    if (error instanceof CliError) return unknown(error.message)
    throw error
  }
  if (active) return { check: 'revocation', verdict: 'good', says: 'the server says it is not revoked' }
  if (await learnsTheTruth(claims, connection)) {
    return {
      check: 'revocation',
      verdict: 'refused',
      says: 'the server says it is revoked, or its client or API is disabled or gone; get a new one',
    }
  }
  return unknown(
    `client ${connection.clientId} may not introspect tokens for ${claims.aud}; let it with: countersign api update ${claims.aud} --add-introspector ${connection.clientId}`,
  )
}

/** The token's own client does, and whom its API names. */
async function learnsTheTruth(claims: JwtClaims, connection: Connection): Promise<boolean> {
  if (claims.client_id === connection.clientId) return true
  const tokens = await createTokenSource(connection)
  try {
    const admin = createAdminApi(connection, async () => (await tokens.token({ audience: adminAudience })).accessToken)
    return (await admin.get<Api>(path`/apis/${String(claims.aud)}`)).introspectors.includes(connection.clientId)
  } catch {
    return false
  } finally {
    tokens.close()
  }
}
