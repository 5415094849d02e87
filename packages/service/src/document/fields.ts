import { z } from 'zod'
import type { Expression } from '../expressions/expression.ts'
import { ServiceError } from '../service-error.ts'
import type { Report } from './action-values.ts'

/** What an API, a function or an action is called; code looks it up by that name. */
export const name = z
  .string()
  .regex(/^[A-Za-z][\w-]{0,63}$/, 'must begin with a letter and have at most 64 letters, digits, "_" and "-"')
  .refine((text) => !(text in {}), 'is a name that every JavaScript object has already; choose another')

export const serviceName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be the name of a service: lower-case letters, digits and "-"')

/** Room is left for `.dead-letter`. */
export const topic = z
  .string()
  .regex(/^(?!\.\.?$)[\w.-]{1,237}$/, 'must be the name of a topic: at most 237 letters, digits, ".", "_" and "-"')

export const protoName = (what: string) =>
  z.string().regex(/^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*$/, `must be the name of ${what}`)

export function method(...methods: [string, ...string[]]) {
  return z
    .string()
    .meta({ enum: methods })
    .transform((text) => text.toUpperCase())
    .pipe(z.enum(methods))
}

/** The path of a route; parameters come out as `:name`, however they were written. */
export const path = z
  .string()
  .superRefine((text, context) => {
    const fault = pathFault(text)
    if (fault !== undefined) context.addIssue({ code: 'custom', message: fault })
  })
  .transform(withColons)

function pathFault(text: string): string | undefined {
  if (!text.startsWith('/')) return 'must begin with "/"'
  if (text.includes('?') || text.includes('#')) return 'must be a path alone; a query needs no declaration'
  const segments = withColons(text).slice(1).replace(/\/$/, '').split('/')
  if (text !== '/' && segments.includes('')) return 'must have no empty segment'
  for (const segment of segments) {
    if (segment === '.' || segment === '..') return `must have no segment "${segment}"`
    if (!/^(?::[A-Za-z_]\w*|[\w.~!$&'+,;=@-]*)$/.test(segment)) {
      return `has a segment that is neither plain text nor one parameter such as :productId: "${segment}"`
    }
  }
  const parameters = segments.filter((segment) => segment.startsWith(':'))
  const twice = parameters.find((parameter, index) => parameters.indexOf(parameter) !== index)
  return twice === undefined ? undefined : `has the parameter ${twice} twice`
}

function withColons(text: string): string {
  return text.replaceAll(/(?<=\/)\{(\w+)\}(?=\/|$)/g, ':$1')
}

const anything = ['string', 'number', 'boolean', 'object', 'array', 'null']

/** A value that is compiled while the document is read, so that what is wrong with it is found at start. */
export function compiled<Result>(
  compile: (given: unknown, report: Report) => Expression<Result>,
  meta: { description: string; types?: readonly string[]; examples: readonly unknown[] },
) {
  const { types = anything, ...rest } = meta
  return z
    .unknown()
    .meta({ ...rest, type: types.length === 1 ? types[0] : types })
    .transform((given, context): Expression<Result> => {
      const compiled = given === undefined ? undefined : compile(given, report)
      if (given === undefined) report([], 'is missing')
      return compiled ?? z.NEVER

      function report(path: readonly (string | number)[], fault: string | ServiceError): void {
        const position = fault instanceof ServiceError ? fault.position : undefined
        const message = fault instanceof ServiceError ? fault.message : fault
        context.addIssue({ code: 'custom', path: [...path], message, params: { position } })
      }
    })
}
