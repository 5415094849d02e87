import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { pathText } from './invalid-document.ts'
import { didYouMean } from './nearest.ts'
import { listAt, type Mention, type Outline, outlineOf } from './outline.ts'
import type { Fault } from './schema-faults.ts'
import { isObject, valueAt } from './value-at.ts'

/** What the schema cannot say: how the parts of a document go together. */
export function ruleFaults(document: unknown): Fault[] {
  const outline = outlineOf(document)
  return rules.flatMap((rule) => rule(outline, document))
}

type Rule = (outline: Outline, document: unknown) => Fault[]

const rules: readonly Rule[] = [
  ({ apiNames }) => takenTwice(apiNames, 'the name of another API'),
  ({ actionNames }) => takenTwice(actionNames, 'the name of another action'),
  ({ routes }) => takenTwice(routes, 'the route of another'),
  ({ routes }) => ownRoutes(routes),
  ({ grpcMethods }) => takenTwice(grpcMethods, 'the gRPC method of another API'),
  ({ requestTopics }) => takenTwice(requestTopics, 'the topic of another, and one message cannot be for both'),
  unknownActions,
  missingTopics,
  unreachableControllers,
  bodiesThatCannotBeSent,
  parametersTwice,
  inputsThatAreNoSchema,
  emptyDocument,
]

function takenTwice(mentions: readonly Mention[], what: string): Fault[] {
  const first = new Map<string, Mention>()
  return mentions.flatMap((mention) => {
    const before = first.get(mention.text)
    if (before !== undefined) {
      return [{ path: mention.path, message: `"${mention.text}" is ${what}: ${pathText(before.path)}` }]
    }
    first.set(mention.text, mention)
    return []
  })
}

/** Paths at which every service of the kit answers by itself. */
export const ownPaths = [
  '/.well-known/jwks.json',
  '/.well-known/service.json',
  '/healthz',
  '/readyz',
  '/metrics',
  '/openapi.json',
] as const

function ownRoutes(routes: readonly Mention[]): Fault[] {
  return routes
    .filter(({ text }) => ownPaths.some((path) => text === `GET ${path}`))
    .map(({ text, path }) => ({ path, message: `"${text}" is answered by the kit itself; choose another path` }))
}

function unknownActions({ usedActions, actionNames }: Outline): Fault[] {
  const known = actionNames.map(({ text }) => text)
  return usedActions
    .filter(({ text }) => !known.includes(text))
    .map(({ text, path }) => {
      const cure = known.length === 0 ? '; the document has no actions' : `; there are ${known.join(', ')}`
      return { path, message: `there is no action "${text}"${didYouMean(text, known) || cure}` }
    })
}

function missingTopics(_outline: Outline, document: unknown): Fault[] {
  const settings = [
    ...listAt(document, ['businessApis']).map((api) => ({ ...api, kind: 'kafkaSettings', on: 'hasKafkaController' })),
    ...listAt(document, ['edgeControllers']).map((edge) => ({
      ...edge,
      kind: 'edgeKafkaSettings',
      on: 'kafkaEnabled',
    })),
  ]
  return settings
    .filter(({ value, kind, on }) => isObject(valueAt(value, [kind])) && valueAt(value, [kind, on]) !== false)
    .filter(({ value, kind }) => valueAt(value, [kind, 'requestTopic']) === undefined)
    .map(({ path, kind, on }) => ({
      path: [...path, kind, 'requestTopic'],
      message: `is missing; name the topic, or set ${on} to false`,
    }))
}

function unreachableControllers(_outline: Outline, document: unknown): Fault[] {
  return listAt(document, ['edgeControllers'])
    .filter(({ value }) => {
      const rest = valueAt(value, ['edgeRestSettings'])
      const kafka = valueAt(value, ['edgeKafkaSettings'])
      const noRest = rest === undefined ? kafka !== undefined : valueAt(rest, ['restEnabled']) === false
      return noRest && (kafka === undefined || valueAt(kafka, ['kafkaEnabled']) === false)
    })
    .map(({ path }) => ({ path, message: 'nothing reaches it: set restEnabled or kafkaEnabled to true' }))
}

function bodiesThatCannotBeSent(_outline: Outline, document: unknown): Fault[] {
  return listAt(document, ['actions', 'apiCallActions'])
    .filter(({ value }) => valueAt(value, ['apiCallRequest', 'body']) !== undefined)
    .filter(({ value }) => /^(?:GET|HEAD)$/i.test(String(valueAt(value, ['apiCallRequest', 'method']))))
    .map(({ path }) => ({
      path: [...path, 'apiCallRequest', 'body'],
      message: 'a GET or HEAD request has no body; use params, or another method',
    }))
}

function parametersTwice(_outline: Outline, document: unknown): Fault[] {
  return listAt(document, ['actions', 'interserviceCallActions']).flatMap(({ value, path }) => {
    const names = listAt(value, ['apiParameters'], path).flatMap((parameter) => {
      const text = valueAt(parameter.value, ['name'])
      return typeof text === 'string' ? [{ text, path: [...parameter.path, 'name'] }] : []
    })
    return takenTwice(names, 'the name of another parameter')
  })
}

function inputsThatAreNoSchema(_outline: Outline, document: unknown): Fault[] {
  return listAt(document, ['businessApis']).flatMap(({ value, path }) => {
    const input = valueAt(value, ['input'])
    const message = isObject(input) ? inputFault(input) : undefined
    return message === undefined ? [] : [{ path: [...path, 'input'], message }]
  })
}

function inputFault(schema: object): string | undefined {
  const type = valueAt(schema, ['type'])
  if (type !== undefined && type !== 'object') return 'must have "type": "object", for path, query and body together'
  try {
    schemas ??= createSchemas()
    schemas.compile(schema)
    return undefined
  } catch (error) {
    return `is no JSON schema that can be used: ${(error as Error).message}`
  } finally {
    schemas?.removeSchema(schema)
  }
}

/** Made when first needed, and then kept: it takes longer than all the rest. */
let schemas: Ajv2020 | undefined

function createSchemas(): Ajv2020 {
  const ajv = new Ajv2020({ strictTypes: false, strictRequired: false, addUsedSchema: false, logger: false })
  addFormats.default(ajv)
  return ajv
}

function emptyDocument(_outline: Outline, document: unknown): Fault[] {
  const isEmpty = isObject(document) && Object.keys(document).every((key) => key === '$schema')
  return isEmpty ? [{ path: [], message: 'is empty; describe at least one API, edge controller or action' }] : []
}
