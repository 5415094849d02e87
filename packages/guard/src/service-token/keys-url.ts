import { GuardConfigurationError } from '../guard-error.ts'

/**
 * Reads a JWKS_URL: `$service` stands where the sender's short name goes, as a whole path segment or host label, so that
 * a name can become neither part of another name nor anything else of the URL. Gives the URL of a short name's keys;
 * undefined for a name that is no label of a host there. Throws GuardConfigurationError.
 */
export function readKeysUrl(template: string): (shortName: string) => string | undefined {
  const parts = /^(https?:\/\/)([^/?#@\\]+)([^?#@\\]*)((?:\?[^#]*)?)$/i.exec(template)
  if (parts === null || URL.parse(template.replaceAll(placeholder, 'a')) === null) {
    throw bad(template, 'must be an http or https URL without user name or fragment')
  }
  const [, , host, path, query] = parts as unknown as [string, string, string, string, string]
  if (query.includes(placeholder)) throw bad(template, `has ${placeholder} in its query`)
  const labels = host.replace(/:\d+$/, '').split('.')
  const stands = [...labels, ...path.split('/')].filter((part) => part.includes(placeholder))
  if (stands.length === 0) {
    throw bad(template, `needs ${placeholder}, or every service could sign in the name of every other`)
  }
  if (stands.some((part) => part !== placeholder)) {
    throw bad(template, `must have ${placeholder} as a whole path segment or host label`)
  }
  const isPlaceholder = labels.map((label) => label === placeholder)
  const example = hostLabels(template.replaceAll(placeholder, 'a'))
  return (shortName) => {
    const url = template.replaceAll(placeholder, shortName)
    const expected = example.map((label, index) => (isPlaceholder[index] ? shortName : label))
    // URLs read `2130706433` and `0x7f000001` as 127.0.0.1: whoever owns an address could sign as a service of that name.
    return hostLabels(url).join('.') === expected.join('.') ? url : undefined
  }
}

function hostLabels(url: string): readonly string[] {
  return URL.parse(url)?.hostname.split('.') ?? []
}

const placeholder = '$service'

function bad(template: string, what: string): GuardConfigurationError {
  return new GuardConfigurationError(`JWKS_URL "${template}" ${what}`)
}
