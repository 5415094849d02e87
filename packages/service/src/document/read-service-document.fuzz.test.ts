import fc from 'fast-check'
import { expect, it } from 'vitest'
import { parse } from 'yaml'
import { ServiceError } from '../service-error.ts'
import { contractDocument } from './contract.fixture.ts'
import { readServiceDocument } from './read-service-document.ts'

type Path = readonly (string | number)[]

const whole: unknown = parse(contractDocument.replaceAll(/\/\/ default.*$/gm, ''))

function pathsOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path]
  return [path, ...Object.entries(value).flatMap(([name, member]) => pathsOf(member, [...path, name]))]
}

function replaced(value: unknown, [step, ...rest]: Path, by: unknown): unknown {
  if (step === undefined) return by
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<string, unknown>
  copy[step] = replaced(copy[step], rest, by)
  return copy
}

/** True where it was read; a refusal must be the kit's own, with faults that say something. */
function reads(input: unknown): boolean {
  try {
    readServiceDocument(input)
    return true
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error
    expect(error.code).toBe('invalid_document')
    expect(error.faults?.length).toBeGreaterThan(0)
    for (const { message } of error.faults ?? []) expect(message).not.toMatch(/^$|undefined|\[object|Invalid input/)
    return false
  }
}

it('a document that is wrong anywhere is refused in words, or read', () => {
  const values = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<unknown>,
    fc.constantFrom<unknown>('this.', '${', '/', '', 'a', 0, true, [], {}, null, [[]], [null], { name: 'a' }),
    fc.constantFrom(...pathsOf(whole)).map((path) => path.reduce((value, step) => (value as never)[step], whole)),
  )
  let wrong = 0
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom(...pathsOf(whole)), values), { minLength: 1, maxLength: 3 }),
      fc.boolean(),
      (changes, asText) => {
        const document = changes.reduce((value, [path, by]) => {
          try {
            return replaced(value, path, by)
          } catch {
            return value
          }
        }, whole)
        if (!reads(asText && typeof document !== 'string' ? JSON.stringify(document) : document)) wrong += 1
      },
    ),
    { numRuns: 600 },
  )
  expect(wrong).toBeGreaterThan(200)
})

it('any text is refused in words, or read', () => {
  const pieces = fc.constantFrom(
    ...[
      'name',
      ': ',
      'businessApis',
      '- ',
      '\n',
      '  ',
      '{',
      '}',
      '[',
      ']',
      ',',
      '"',
      "'",
      '&a ',
      '*a',
      '|',
      '>',
      '!!x ',
    ],
    ...[
      '// x',
      '/*',
      '*/',
      '#',
      '<<',
      '---',
      '...',
      '%YAML',
      '?',
      '\t',
      '\u0000',
      '\ufeff',
      'this.a',
      'topic',
      'message',
    ],
  )
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 15 }), (parts) => {
      reads(`${parts.join('')}\n`)
    }),
    { numRuns: 2_000 },
  )
})
