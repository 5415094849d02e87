import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect, it } from 'vitest'
import { parse } from 'yaml'
import { contractDocument } from './contract.fixture.ts'
import { serviceDocumentJsonSchema } from './document-schema.ts'

interface Schema {
  readonly description?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
}

const validate = new Ajv2020({ strictTypes: false }).compile(serviceDocumentJsonSchema())

it('the published schema takes the document of the reference', () => {
  expect(validate(parse(contractDocument.replaceAll(/\/\/ default.*$/gm, '')))).toBe(true)
  expect(validate.errors).toBeNull()
})

it.each([
  { businessApis: [{ name: 'a', authOption: {} }] },
  { businessApis: [{ name: 'a b' }] },
  { businessApis: [{ name: 'a', restSettings: { method: 'GETT' } }] },
  { businessApis: [{ name: 'a', authOptions: { loginRequired: 'yes' } }] },
  { actions: { publishEventActions: [{ name: 'a', topic: 'b' }] } },
  { actions: { apiCallActions: [{ name: 'a', apiCallRequest: { method: 'GET', url: 5 } }] } },
])('the published schema underlines what is wrong: %j', (document) => {
  expect(validate(document)).toBe(false)
})

it('the published schema says of every member what it is', () => {
  const silent: string[] = []
  const look = (schema: Schema, path: string) => {
    for (const [name, member] of Object.entries(schema.properties ?? {})) {
      if (member.description === undefined) silent.push(`${path}.${name}`)
      look(member, `${path}.${name}`)
    }
    if (schema.items !== undefined) look(schema.items, `${path}[]`)
  }
  look(serviceDocumentJsonSchema() as Schema, '')
  expect(silent).toEqual([])
})
