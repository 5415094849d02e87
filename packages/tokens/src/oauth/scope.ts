import { quoted, TokenError } from '../token-error.ts'

const scopeToken = /^[\x21\x23-\x5b\x5d-\x7e]+$/
const scopeText = /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/

/**
 * The scopes in a `scope` value, in order, each once (RFC 6749 section 3.3); `''` holds none. Throws `invalid_claim` for
 * characters that a scope cannot have (quotes, backslashes, control and non-ASCII characters) and for stray spaces.
 */
export function parseScope(text: string): string[] {
  if (text === '') return []
  const scopes = new Set(text.split(' '))
  for (const scope of scopes) if (!isScopeToken(scope)) throw illegal(scope)
  return [...scopes]
}

/** Whether `parseScope` takes the text; does not build the list. */
export function isScopeText(text: string): boolean {
  return text === '' || scopeText.test(text)
}

/** Whether the text is one scope: visible ASCII without `"` and `\`. */
export function isScopeToken(text: string): boolean {
  return scopeToken.test(text)
}

/** The scopes as one `scope` value, in order. Throws `invalid_claim` for what is not a scope. */
export function formatScope(scopes: Iterable<string>): string {
  const list = [...scopes]
  for (const scope of list) if (!isScopeToken(scope)) throw illegal(scope)
  return list.join(' ')
}

function illegal(scope: string): TokenError {
  return new TokenError('invalid_claim', `${quoted(scope)} is not a scope`, 'scope')
}
