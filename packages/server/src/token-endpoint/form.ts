import { OAuthError } from './oauth-error.ts'

/** Form parameters by name. Absent and empty are the same (RFC 6749 section 3.2). */
export type Form = ReadonlyMap<string, readonly string[]>

const mostParameters = 50
/** RFC 8707 section 2 and RFC 8693 section 2.1 let a request name several targets. */
const repeatable = new Set(['resource', 'audience'])

/**
 * Reads an `application/x-www-form-urlencoded` body.
 * @throws OAuthError `invalid_request` on a repeated parameter, a broken escape, text that is not UTF-8, too many
 */
export function parseForm(body: string): Form {
  const form = new Map<string, string[]>()
  if (body === '') return form
  const pairs = body.split('&', mostParameters + 1)
  if (pairs.length > mostParameters) throw new OAuthError('invalid_request', 'too many parameters')
  for (const pair of pairs) {
    if (pair === '') continue
    const equals = pair.indexOf('=')
    const name = decodeFormText(equals < 0 ? pair : pair.slice(0, equals))
    const value = equals < 0 ? '' : decodeFormText(pair.slice(equals + 1))
    const values = form.get(name)
    if (!values) form.set(name, [value])
    else if (repeatable.has(name)) values.push(value)
    else throw new OAuthError('invalid_request', `the parameter ${printable(name)} is given more than once`)
  }
  for (const [name, values] of form) {
    const present = values.filter((value) => value !== '')
    if (present.length === 0) form.delete(name)
    else if (present.length < values.length) form.set(name, present)
  }
  return form
}

export function parameter(form: Form, name: string): string | undefined {
  return form.get(name)?.[0]
}

/** @throws OAuthError `invalid_request` */
export function decodeFormText(text: string): string {
  if (!/[%+]/.test(text)) return text
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw new OAuthError('invalid_request', 'the form is not percent-encoded UTF-8')
  }
}

function printable(name: string): string {
  return name.length <= 40 && /^[\x21-\x7e]+$/.test(name) ? name : 'with an unusual name'
}
