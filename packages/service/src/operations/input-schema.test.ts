import { describe, expect, it } from 'vitest'
import { compileInput } from './input-schema.ts'

const refusal = (schema: object, input: Record<string, unknown>) => {
  try {
    compileInput('api', schema)(input)
  } catch (error) {
    return (error as Error).message
  }
}

describe('the input schema of a business API', () => {
  it('fills defaults in, and leaves out nothing', () => {
    const check = compileInput('api', { type: 'object', properties: { limit: { type: 'integer', default: 10 } } })
    expect(check({ other: 1 })).toEqual({ other: 1, limit: 10 })
  })

  it('may be draft-07 where it says so', () => {
    const schema = {
      $schema: 'http://json-schema.org/draft-07/schema#',
      definitions: { id: { type: 'string' } },
      properties: { id: { $ref: '#/definitions/id' } },
    }
    expect(refusal(schema, { id: 1 })).toBe('"id" must be string')
    expect(refusal(schema, { id: '1' })).toBeUndefined()
  })

  it.each([
    [{ type: 'objekt' }],
    [{ type: 'object', propertys: {} }],
    [{ $ref: 'https://schemas.example/other.json' }],
    [{ properties: { id: { pattern: '(' } } }],
    [{ properties: { id: { format: 'no-such-format' } } }],
  ])('is refused at start when it is none, naming the API: %j', (schema) => {
    expect(() => compileInput('decreaseStock', schema)).toThrow(
      /the "input" of business API "decreaseStock" is not a JSON Schema/,
    )
  })

  it('names what is at fault, deep inside and with odd names', () => {
    const item = {
      type: 'object',
      required: ['sku'],
      additionalProperties: false,
      properties: { sku: { enum: ['a', 'b'] } },
    }
    const schema = { properties: { items: { type: 'array', items: item }, 'a/b~c': { type: 'string' } } }
    expect(refusal(schema, { items: [{ sku: 'a' }, {}] })).toBe('"items.1.sku" is missing')
    expect(refusal(schema, { items: [{ sku: 'x' }] })).toBe('"items.0.sku" must be one of ["a","b"]')
    expect(refusal(schema, { items: [{ sku: 'a', extra: 1 }] })).toBe(
      '"items.0.extra" is not a member that is known here',
    )
    expect(refusal(schema, { 'a/b~c': 1 })).toBe('"a/b~c" must be string')
    expect(refusal({ minProperties: 1 }, {})).toBe('the input must NOT have fewer than 1 properties')
  })
})
