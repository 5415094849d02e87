/**
 * The short name of a service: `order` for `order` and for `order-service`, which is what its tokens say.
 * Undefined for what cannot be one; so is a name that would end in `-service` itself, as nobody could tell the two.
 */
export function parseServiceName(text: string): string | undefined {
  const name = text.replace(/(?<=.)-service$/, '')
  return /^[a-z0-9][a-z0-9-]{0,62}$/.test(name) && !name.endsWith('-service') ? name : undefined
}

/** The name whose key set would stand where that of an issuer with a path does, were the path not stripped before us. */
export function nameOfIssuer(issuer: string): string | undefined {
  return parseServiceName(new URL(issuer).pathname.replaceAll(/^\/|\/$/g, ''))
}
