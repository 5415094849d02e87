import { clientCredentials } from './client-credentials.ts'
import type { GrantType } from './grant-type.ts'

export const grantTypes: readonly GrantType[] = [clientCredentials]
