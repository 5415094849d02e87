import { z } from 'zod'
import type { Position } from '../service-error.ts'
import { documentSchema } from './document-schema.ts'
import { didYouMean } from './nearest.ts'
import { valueAt } from './value-at.ts'

export type Path = readonly PropertyKey[]

/** Something that is wrong with a whole document. */
export interface Fault {
  readonly path: Path
  readonly message: string
  /** Where within the text at that path */
  readonly position?: Position
}

/** What the schema has against a document, told for people: what was expected, and what stands there. */
export function schemaFaults(issues: readonly z.core.$ZodIssue[], content: unknown): Fault[] {
  return issues.flatMap((issue) => faultsOf(issue, content))
}

function faultsOf(issue: z.core.$ZodIssue, content: unknown): Fault[] {
  const { path } = issue
  const given = valueAt(content, path)
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({ path: [...path, key], message: unknownKey(key, path) }))
    case 'invalid_type':
      return [
        {
          path,
          message:
            given === undefined
              ? 'is missing'
              : `must be ${typeNames[issue.expected] ?? issue.expected}, not ${shown(given)}`,
        },
      ]
    case 'invalid_value': {
      const values = issue.values.map(String)
      return [
        {
          path,
          message: `must be one of ${values.join(', ')}, not ${shown(given)}${didYouMean(String(given), values)}`,
        },
      ]
    }
    case 'too_small':
      return [{ path, message: 'must not be empty' }]
    case 'custom': {
      const position = issue.params?.position as Position | undefined
      return [{ path, message: issue.message, ...(position && { position }) }]
    }
    default:
      return [{ path, message: issue.message }]
  }
}

const typeNames: Readonly<Record<string, string>> = {
  boolean: 'true or false',
  string: 'a text',
  array: 'a list',
  object: 'an object',
  record: 'an object',
}

/** What stands there, as far as it can be said in a few words. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return value === null ? 'null' : 'an object'
  if (typeof value !== 'string') return String(value)
  return value.length > 40 ? 'a text' : `the text ${JSON.stringify(value)}`
}

function unknownKey(key: string, path: Path): string {
  const members = membersAt(path)
  const known = Object.keys(members)
  const holder = known.find((name) => Object.hasOwn(membersOf(members[name]), key))
  if (holder !== undefined) return `does not stand here; write it into "${holder}"`
  return `is not known here${didYouMean(key, known) || `; known are ${known.filter((name) => name !== '$schema').join(', ')}`}`
}

function membersAt(path: Path): Readonly<Record<string, z.ZodType>> {
  let schema: z.ZodType | undefined = documentSchema
  for (const step of path) {
    const inner: z.ZodType | undefined = schema && unwrapped(schema)
    schema = inner instanceof z.ZodArray ? (inner.element as z.ZodType) : membersOf(inner)[String(step)]
  }
  return membersOf(schema)
}

function membersOf(schema: z.ZodType | undefined): Readonly<Record<string, z.ZodType>> {
  const inner = schema && unwrapped(schema)
  if (inner instanceof z.ZodArray) return membersOf(inner.element as z.ZodType)
  return inner instanceof z.ZodObject ? (inner.shape as Record<string, z.ZodType>) : {}
}

function unwrapped(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) {
    return unwrapped(schema.unwrap() as z.ZodType)
  }
  return schema
}
