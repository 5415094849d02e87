import { serviceTokenHeaders } from '@countersign/tokens'
import { compileText, isExpression, isTemplate } from '../expressions/compile-text.ts'
import { type Expression, toExpression } from '../expressions/expression.ts'
import type { Data } from '../expressions/own-data.ts'
import { ServiceError } from '../service-error.ts'
import { compileMembers, compileValue, type Report, reporting } from './action-values.ts'

/**
 * The URL of a call. What is filled in is percent-encoded, so that it stays the segment or the value it stands for;
 * only a part at the very beginning, which is a base, is taken as it is.
 */
export function compileUrl(given: unknown, report: Report): Expression<string> {
  const source = typeof given === 'string' ? given : 'https://text.invalid'
  if (source !== given) report([], 'a URL is text')
  const isFixed = !isExpression(source) && !isTemplate(source) && !source.includes('${')
  const fault = isFixed ? urlFault(source) : beginningFault(source)
  if (fault !== undefined) report([], fault)
  const evaluate = reporting([], report, () => compileText(source, encoded))
  return checked(toExpression(source, evaluate), (value) => {
    const wrong = typeof value === 'string' ? urlFault(value) : 'a URL is text'
    return wrong === undefined ? (value as string) : failed(wrong)
  })
}

function encoded(value: Data, isFirst: boolean): Data {
  return isFirst || value === undefined || value === null || typeof value === 'object'
    ? value
    : encodeURIComponent(String(value).toWellFormed())
}

function beginningFault(source: string): string | undefined {
  return isExpression(source) || /^\s*`?(?:https?:\/\/|\$\{)/i.test(source) ? undefined : urlBeginning
}

const urlBeginning = 'a URL begins with https:// or http://'

function urlFault(text: string): string | undefined {
  if (!/^https?:\/\//i.test(text)) return urlBeginning
  if (!URL.canParse(text)) return 'this is no URL'
  const url = new URL(text)
  if (url.username !== '' || url.password !== '') return 'a URL holds no user name or password; send a header'
  const [path = ''] = text.split(/[?#]/)
  if (/[/\\](?:\.|%2e){1,2}(?=[/\\]|$)/i.test(path))
    return 'a segment of the path is "." or "..", which changes the path'
  return undefined
}

export type Parameters = Readonly<Record<string, string | readonly string[]>>

/** Query parameters by name. What is null or undefined is left out; a list is a parameter that comes several times. */
export function compileParams(given: unknown, report: Report): Expression<Parameters> {
  return checked(flat(given, 'params', report), (value) => {
    const entries = Object.entries(membersOf(value, 'params'))
    return Object.fromEntries(
      entries
        .filter(([, item]) => item !== null)
        .map(([name, item]) => [name, Array.isArray(item) ? item.map((one) => simple(one, name)) : simple(item, name)]),
    )
  })
}

/** Headers by name. What is null or undefined is left out. */
export function compileHeaders(given: unknown, report: Report): Expression<Readonly<Record<string, string>>> {
  if (typeof given === 'object' && given !== null) {
    const seen = new Set<string>()
    for (const name of Object.keys(given)) {
      const fault = headerNameFault(name) ?? (seen.has(name.toLowerCase()) ? 'the header is there twice' : undefined)
      if (fault !== undefined) report([name], fault)
      seen.add(name.toLowerCase())
    }
  }
  return checked(flat(given, 'headers', report), (value) => {
    const headers: [string, string][] = []
    for (const [name, item] of Object.entries(membersOf(value, 'headers'))) {
      if (item === null) continue
      const fault = headerNameFault(name)
      if (fault !== undefined) failed(fault)
      const text = simple(item, name)
      if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(text))
        failed('a header holds a line break or a character that none may have')
      headers.push([name, text])
    }
    return Object.fromEntries(headers)
  })
}

/** Set by the call itself, or by what carries it. */
const ownHeaders: ReadonlySet<string> = new Set([
  ...serviceTokenHeaders,
  ...['host', 'connection', 'content-length', 'transfer-encoding', 'keep-alive'],
  ...['upgrade', 'te', 'trailer', 'expect', 'proxy-connection'],
])

function headerNameFault(name: string): string | undefined {
  if (!/^[\w!#$%&'*+.^`|~-]{1,128}$/.test(name)) return 'this is no name of a header'
  return ownHeaders.has(name.toLowerCase()) ? `the header "${name}" is set by itself; leave it out` : undefined
}

/** Names with values: written out, or an expression that gives them. */
function flat(given: unknown, what: string, report: Report): Expression {
  if (typeof given === 'string') return compileValue(given, report)
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    report([], `${what} are names with values, or an expression that gives them`)
  }
  return compileMembers(given, report)
}

function membersOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  return failed(`${what} must come out as an object`)
}

function simple(value: unknown, name: string): string {
  if (value === null || typeof value === 'object')
    return failed(`"${name}" must come out as a text, a number or a boolean`)
  return String(value)
}

function checked<Result>(expression: Expression, check: (value: unknown) => Result): Expression<Result> {
  return { source: expression.source, evaluate: (context) => check(expression.evaluate(context)) }
}

function failed(why: string): never {
  throw new ServiceError('expression_failed', why)
}
