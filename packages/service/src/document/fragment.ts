import { isObject, valueAt } from './value-at.ts'

type Path = readonly (string | number)[]

export interface CompletedDocument {
  /** A whole document */
  readonly content: unknown
  /** Where in it the fragment stands that was given; empty when the document was whole */
  readonly at: Path
}

/**
 * A document that is one part of a service becomes the document of a service with that part alone. An API, an edge
 * controller or an action that stands alone and has no name gets one: see givenName.
 */
export function completeFragment(given: unknown): CompletedDocument {
  if (!isObject(given)) return { content: given, at: [] }
  const { $schema: _schema, ...part } = given
  const at =
    fragments.find(({ keys }) => keys.some((key) => Object.hasOwn(part, key) && isMark(key, part[key])))?.at ?? []
  if (at.length === 0) return { content: given, at }
  const content = at.reduceRight<unknown>(
    (value, step) => (typeof step === 'number' ? [value] : { [step]: value }),
    part,
  )
  return { content: named(content as Document), at }
}

/** Which keys tell what a fragment is; the first that matches counts. */
const fragments: readonly { readonly at: Path; readonly keys: readonly string[] }[] = [
  { at: [], keys: ['serviceSettings', 'businessApis', 'edgeControllers', 'actions'] },
  { at: ['actions'], keys: ['apiCallActions', 'interserviceCallActions', 'publishEventActions'] },
  { at: ['actions', 'apiCallActions', 0], keys: ['apiCallRequest'] },
  { at: ['actions', 'interserviceCallActions', 0], keys: ['targetService', 'targetApi', 'apiParameters'] },
  { at: ['actions', 'publishEventActions', 0], keys: ['topic', 'message'] },
  { at: ['edgeControllers', 0], keys: ['edgeControllerOptions', 'edgeRestSettings', 'edgeKafkaSettings'] },
  { at: ['edgeControllers', 0, 'edgeControllerOptions'], keys: ['functionName'] },
  { at: ['businessApis', 0], keys: ['authOptions', 'restSettings', 'grpcSettings', 'kafkaSettings', 'input', 'name'] },
  { at: ['businessApis', 0, 'authOptions'], keys: ['loginRequired', 'M2MAllowed'] },
  { at: ['businessApis', 0, 'kafkaSettings'], keys: ['hasKafkaController', 'requestTopic'] },
  { at: ['serviceSettings'], keys: ['serviceOptions'] },
  {
    at: ['serviceSettings', 'serviceOptions'],
    keys: ['machineToMachineBlockList', 'allowedM2MClients', 'multiTenant'],
  },
]

/** The actions of a whole document are kinds of actions; those of one API are a list of names. */
function isMark(key: string, value: unknown): boolean {
  return key !== 'actions' || !Array.isArray(value)
}

type Document = Readonly<Record<string, unknown>>

function named(document: Document): Document {
  const { businessApis, edgeControllers, actions } = document
  if (Array.isArray(businessApis)) {
    return { ...document, businessApis: businessApis.map((api) => withName(api, 'name', apiSources)) }
  }
  if (Array.isArray(edgeControllers)) {
    return { ...document, edgeControllers: edgeControllers.map(withFunctionName) }
  }
  return isObject(actions) ? { ...document, actions: withActionNames(actions) } : document
}

const apiSources = ['grpcSettings.method', 'kafkaSettings.requestTopic', 'restSettings.path', '=api']
const edgeSources = ['edgeRestSettings.path', 'edgeKafkaSettings.requestTopic', '=edge']

function withFunctionName(controller: unknown): unknown {
  if (!isObject(controller)) return controller
  const { edgeControllerOptions = {} } = controller
  if (!isObject(edgeControllerOptions) || edgeControllerOptions.functionName !== undefined) return controller
  const functionName = givenName(controller, edgeSources)
  return { ...controller, edgeControllerOptions: { functionName, ...edgeControllerOptions } }
}

function withActionNames(actions: Document): Document {
  const sources: Record<string, readonly string[]> = {
    apiCallActions: ['=callApi'],
    interserviceCallActions: ['targetApi', '=callService'],
    publishEventActions: ['topic', '=publishEvent'],
  }
  return Object.fromEntries(
    Object.entries(actions).map(([kind, list]) => [
      kind,
      Array.isArray(list) && list.length === 1 ? [withName(list[0], 'name', sources[kind] ?? [])] : list,
    ]),
  )
}

function withName(part: unknown, key: string, sources: readonly string[]): unknown {
  return isObject(part) && part[key] === undefined ? { [key]: givenName(part, sources), ...part } : part
}

/**
 * The name of what has none, from the first of these that it has: `stock.decrease` gives `stockDecrease`,
 * `/v1/stock/{id}` gives `stock` and `DecreaseStock` gives `decreaseStock`.
 */
function givenName(part: Document, sources: readonly string[]): string | undefined {
  for (const source of sources) {
    const text = source.startsWith('=') ? source.slice(1) : valueAt(part, source.split('.'))
    const name = typeof text === 'string' ? camelCase(text) : ''
    if (name !== '') return name
  }
  return undefined
}

function camelCase(text: string): string {
  const words = text
    .split(/[^A-Za-z0-9{}:]+/)
    .filter((word) => /^[A-Za-z0-9]+$/.test(word) && !/^v\d+$/.test(word))
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
  const joined = words.join('').slice(0, 64)
  return joined.charAt(0).toLowerCase() + joined.slice(1)
}
