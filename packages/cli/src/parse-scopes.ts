import { wrongUse } from './cli-error.ts'

export interface ScopeDefinition {
  name: string
  description: string
}

/** `read:orders=Read orders`, one a text; the description may be left out. @throws CliError exit 2 */
export function parseScopes(texts: readonly string[]): ScopeDefinition[] {
  const scopes = new Map<string, ScopeDefinition>()
  for (const text of texts) {
    const end = text.indexOf('=')
    const name = end === -1 ? text : text.slice(0, end)
    // RFC 6749 section 3.3
    if (!/^[\x21\x23-\x5b\x5d-\x7e]+$/.test(name)) {
      throw wrongUse(
        `${JSON.stringify(text)} is not a scope; write it like --scope 'read:orders=Read orders', one scope an option`,
      )
    }
    if (scopes.has(name)) throw wrongUse(`scope ${name} is given twice; give each scope once`)
    scopes.set(name, { name, description: end === -1 ? '' : text.slice(end + 1).trim() })
  }
  return [...scopes.values()]
}
