import { Ajv, type ErrorObject, type Options } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { Problem } from '../problem.ts'
import { ServiceError } from '../service-error.ts'

export type InputCheck = (input: Record<string, unknown>) => Record<string, unknown>

/**
 * Compiles the `input` of a business API (JSON Schema 2020-12, or draft-07 where `$schema` says so). What it returns fills defaults in and throws Problem 422
 * `invalid_input` that names the member at fault, and never says what its value was.
 * Throws ServiceError `invalid_document` for what is no schema.
 */
export function compileInput(api: string, schema: object | undefined): InputCheck {
  if (schema === undefined) return (input) => input
  const validate = compiled(api, schema)
  return (input) => {
    if (validate(input)) return input
    throw invalidInput(validate.errors ?? [])
  }
}

function compiled(api: string, schema: object) {
  const isDraft7 = String((schema as { $schema?: unknown }).$schema).startsWith('http://json-schema.org/draft-07/')
  const ajv = isDraft7 ? new Ajv(rules) : new Ajv2020(rules)
  addFormats.default(ajv)
  // Of OpenAPI 3.0: a note for readers.
  ajv.addKeyword('example')
  try {
    return ajv.compile(schema)
  } catch (error) {
    const why = (error as Error).message
    throw new ServiceError('invalid_document', `the "input" of business API "${api}" is not a JSON Schema: ${why}`)
  }
}

const rules: Options = {
  // One fault at a time: to look for all of them lets a hostile input cost far more than it weighs.
  allErrors: false,
  useDefaults: true,
  // A keyword that is misspelt is refused; what is only unusual is not.
  strictSchema: true,
  strictTypes: false,
  strictRequired: false,
  logger: false,
}

function invalidInput([first]: readonly ErrorObject[]): Problem {
  if (first === undefined) return new Problem(422, 'invalid_input', 'the input is not valid')
  const path = memberOf(first)
  const message = sentenceOf(first)
  const where = path === '' ? 'the input' : `"${path}"`
  return new Problem(422, 'invalid_input', `${where} ${message}`, { errors: [{ path, message }] })
}

/** `items.0.sku` for `/items/0/sku`; the member that lacks or is too many, where that is the fault. */
function memberOf({ instancePath, keyword, params }: ErrorObject): string {
  const parts = instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
  if (keyword === 'required' || keyword === 'dependentRequired') parts.push(params.missingProperty)
  if (keyword === 'additionalProperties') parts.push(params.additionalProperty)
  if (keyword === 'unevaluatedProperties') parts.push(params.unevaluatedProperty)
  return parts.map((part) => part.slice(0, 64)).join('.')
}

function sentenceOf({ keyword, params, message = 'is not valid' }: ErrorObject): string {
  if (keyword === 'required' || keyword === 'dependentRequired') return 'is missing'
  if (keyword === 'additionalProperties' || keyword === 'unevaluatedProperties')
    return 'is not a member that is known here'
  if (keyword === 'enum') return `must be one of ${JSON.stringify(params.allowedValues)}`
  return message
}
