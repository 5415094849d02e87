import { parseJson } from '@countersign/tokens'
import type { FastifyInstance, FastifySchemaCompiler } from 'fastify'
import type { z } from 'zod'
import { Problem } from '../http/problem.ts'

/** Larger than any request that the rules below it would accept. */
export const largestAdminBody = 256 * 1024

/** Bodies are strict JSON: UTF-8, no duplicate members, bounded depth. What needs no body may come without one. */
export function parseStrictJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    /^application\/json(;|$)/i,
    { parseAs: 'buffer', bodyLimit: largestAdminBody },
    (_request, body, done) => {
      if (body.length === 0) return done(null, undefined)
      try {
        done(null, parseJson(body as Buffer, { maximumBytes: largestAdminBody, maximumDepth: 16 }))
      } catch (error) {
        done(new Problem(400, 'malformed_json', `the body is not JSON: ${(error as Error).message}`))
      }
    },
  )
}

/** Answers what breaks a schema with 422 and where it breaks it; what was sent is never repeated. */
export const validateWithZod: FastifySchemaCompiler<z.ZodType> = ({ schema, httpPart }) => {
  return (data: unknown) => {
    const result = schema.safeParse(data ?? (httpPart === 'body' ? {} : data))
    if (result.success) return { value: result.data }
    const errors = result.error.issues.slice(0, 20).map((issue) => ({
      path: [...issue.path, ...unknownMember(issue)].map((part) => String(part).slice(0, 64)).join('.'),
      message: sentenceOf(issue).slice(0, 500),
    }))
    return { error: invalid(errors, httpPart === 'querystring' ? 'query' : (httpPart ?? 'request')) }
  }
}

/** Zod's own words for a limit are for programmers; a rule that brings words of its own keeps them. */
function sentenceOf(issue: z.core.$ZodIssue): string {
  if (issue.code !== 'too_big' && issue.code !== 'too_small') return issue.message
  if (!/^Too (big|small): /.test(issue.message)) return issue.message
  const [side, limit] = issue.code === 'too_big' ? ['at most', issue.maximum] : ['at least', issue.minimum]
  if (issue.origin === 'string') return `must have ${side} ${limit} characters`
  if (issue.origin === 'array' || issue.origin === 'set') return `must have ${side} ${limit} items`
  return `must be ${side} ${limit}`
}

function unknownMember(issue: z.core.$ZodIssue): string[] {
  return issue.code === 'unrecognized_keys' && issue.keys.length === 1 ? issue.keys : []
}

export interface FieldError {
  /** Members from the outside in, joined by dots; empty for the whole */
  path: string
  message: string
}

export function invalid(errors: readonly FieldError[], where = 'body'): Problem {
  const [first] = errors
  const said = first ? `: ${first.path === '' ? '' : `${first.path}: `}${first.message}` : ''
  return new Problem(422, 'invalid', `the ${where} is not valid${said}`, { errors })
}
