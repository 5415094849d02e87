import type { AuthenticatedClient } from '../client-auth/client-auth-method.ts'
import type { Form } from '../token-endpoint/form.ts'

/** What a grant type has decided shall be in the token. */
export interface TokenContent {
  audience: string
  scopes: readonly string[]
  subject: string
  signingAlgorithm: import('@countersign/tokens').SigningAlgorithm
  lifetimeSeconds: number
}

/** One way to come to a token; registered in `grant-types.ts`. */
export interface GrantType {
  readonly name: string
  /** @throws OAuthError `invalid_target`, `invalid_scope`, `unauthorized_client` */
  decide(form: Form, authenticated: AuthenticatedClient): TokenContent
}
