import { formatScope, parseScope } from '@countersign/tokens'
import { ClientError } from './client-error.ts'
import { isLoopbackHost } from './issuer.ts'

/** What a token is for. `key` tells wishes apart, also in a store that several clients share. */
export interface TokenWish {
  readonly key: string
  readonly audience?: string
  readonly scope?: string
}

export interface Target {
  audience?: string
  scope?: string | readonly string[]
}

/**
 * Makes wishes for one client. Two that ask for the same scopes in another order are the same.
 * @throws ClientError `invalid_scope`, `invalid_target`
 */
export function createWishes(issuer: string, clientId: string): (target: Target) => TokenWish {
  return ({ audience, scope }) => {
    if (audience !== undefined && (typeof audience !== 'string' || audience === '')) {
      throw new ClientError('invalid_target', 'audience must be a non-empty string, such as https://api.example.com')
    }
    const scopes = formatScope(readScopes(scope).sort())
    const key = JSON.stringify(['countersign', issuer, clientId, audience ?? null, scopes])
    return { key, ...(audience !== undefined && { audience }), ...(scopes !== '' && { scope: scopes }) }
  }
}

/**
 * Which origin gets which token; an origin that is not in here gets none, ever.
 * @throws ClientError `invalid_configuration`
 */
export function readTargets(
  options: {
    audience?: string
    scope?: Target['scope']
    targets?: Record<string, Target>
    origins?: readonly string[]
  },
  wishFor: (target: Target) => TokenWish,
): Map<string, TokenWish> {
  const { audience, scope, targets = {}, origins = [] } = options
  const own = audience === undefined ? undefined : ownOrigin(audience)
  const wishes = new Map<string, TokenWish>()
  for (const origin of own === undefined ? origins : [own, ...origins]) {
    wishes.set(readOrigin(origin, 'origins'), wishFor({ audience, scope }))
  }
  for (const [origin, target] of Object.entries(targets)) wishes.set(readOrigin(origin, 'targets'), wishFor(target))
  return wishes
}

/** An audience that is an address declares its own origin, but not one where tokens would go in the clear. */
function ownOrigin(audience: string): string | undefined {
  if (!URL.canParse(audience)) return undefined
  const { protocol, hostname, origin } = new URL(audience)
  return protocol === 'https:' || (protocol === 'http:' && isLoopbackHost(hostname)) ? origin : undefined
}

function readOrigin(text: string, option: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !['https:', 'http:'].includes(url.protocol) || url.href !== `${url.origin}/`) {
    throw new ClientError(
      'invalid_configuration',
      `${option} holds something that is not an origin; write scheme, host and port only, such as https://api.example.com`,
    )
  }
  return url.origin
}

function readScopes(scope: Target['scope']): string[] {
  if (scope === undefined || scope === '') return []
  try {
    return parseScope(typeof scope === 'string' ? scope : scope.join(' '))
  } catch {
    throw new ClientError(
      'invalid_scope',
      'scope holds a character that no scope may have; write scopes such as read:users, separated by single spaces',
    )
  }
}
