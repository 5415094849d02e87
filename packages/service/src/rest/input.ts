import { parseJson } from '@countersign/tokens'
import { Problem } from '../problem.ts'

export interface InputParts {
  readonly params: Readonly<Record<string, string>>
  readonly query: readonly (readonly [string, string])[]
  readonly body: Readonly<Record<string, unknown>>
}

/**
 * The input of a business API: path, query and body together. A name that is given twice is refused (Problem 400
 * `name_given_twice`), since which of the two was meant nobody knows.
 */
export function restInput({ params, query, body }: InputParts, schema: object | undefined): Record<string, unknown> {
  const texts = [...Object.entries(params), ...query]
  const input: Record<string, unknown> = {}
  for (const [name, text] of texts) put(input, name, textValue(text, memberSchema(schema, name)))
  for (const [name, value] of Object.entries(body)) put(input, name, value)
  return input
}

function put(input: Record<string, unknown>, name: string, value: unknown): void {
  if (Object.hasOwn(input, name))
    throw new Problem(
      400,
      'name_given_twice',
      `"${name.slice(0, 64)}" is given twice; give it once, in path, query or body`,
    )
  // Defined, not assigned: a name that Object.prototype has is a name like any other.
  Object.defineProperty(input, name, { value, writable: true, enumerable: true, configurable: true })
}

/** Path and query hold texts. Where the schema wants something else, the text is read as JSON. */
function textValue(text: string, schema: unknown): unknown {
  const types = [(schema as { type?: unknown } | undefined)?.type ?? 'string'].flat()
  if (types.includes('string')) return text
  try {
    return parseJson(text, { maximumDepth: 16 })
  } catch {
    return text
  }
}

function memberSchema(schema: object | undefined, name: string): unknown {
  const properties = (schema as { properties?: object } | undefined)?.properties
  return properties !== undefined && Object.hasOwn(properties, name)
    ? (properties as Record<string, unknown>)[name]
    : undefined
}
