import { valueAt } from './value-at.ts'

type Path = readonly (string | number)[]

/** A name or the like, and where it stands. */
export interface Mention {
  readonly text: string
  readonly path: Path
}

/**
 * What the parts of a document call themselves and each other, as far as it can be made out: a document that is wrong
 * in one place is still looked through in all others.
 */
export interface Outline {
  readonly apiNames: readonly Mention[]
  readonly actionNames: readonly Mention[]
  /** Actions that APIs ask for */
  readonly usedActions: readonly Mention[]
  /** `POST /v1/stock/:` with the names of parameters left out */
  readonly routes: readonly Mention[]
  readonly grpcMethods: readonly Mention[]
  readonly requestTopics: readonly Mention[]
}

export function outlineOf(document: unknown): Outline {
  const apis = listAt(document, ['businessApis'])
  const controllers = listAt(document, ['edgeControllers'])
  return {
    apiNames: apis.flatMap((api) => mention(api, ['name'])),
    actionNames: ['apiCallActions', 'interserviceCallActions', 'publishEventActions']
      .flatMap((kind) => listAt(document, ['actions', kind]))
      .flatMap((action) => mention(action, ['name'])),
    usedActions: apis
      .flatMap((api) => listAt(api.value, ['actions'], api.path))
      .flatMap(({ value, path }) => (typeof value === 'string' ? [{ text: value, path }] : [])),
    routes: [...apis.flatMap(apiRoute), ...controllers.flatMap(edgeRoute)],
    grpcMethods: apis.flatMap(({ value, path }) => {
      const [service, method] = [
        valueAt(value, ['grpcSettings', 'service']),
        valueAt(value, ['grpcSettings', 'method']),
      ]
      const isWhole = typeof service === 'string' && typeof method === 'string'
      return isWhole ? [{ text: `${service}/${method}`, path: [...path, 'grpcSettings', 'method'] }] : []
    }),
    requestTopics: [
      ...apis
        .filter(({ value }) => valueAt(value, ['kafkaSettings', 'hasKafkaController']) !== false)
        .flatMap((api) => mention(api, ['kafkaSettings', 'requestTopic'])),
      ...controllers
        .filter(({ value }) => valueAt(value, ['edgeKafkaSettings', 'kafkaEnabled']) !== false)
        .flatMap((controller) => mention(controller, ['edgeKafkaSettings', 'requestTopic'])),
    ],
  }
}

export interface Part {
  readonly value: unknown
  readonly path: Path
}

export function listAt(value: unknown, steps: readonly string[], path: Path = []): Part[] {
  const list = valueAt(value, steps)
  return Array.isArray(list) ? list.map((item, index) => ({ value: item, path: [...path, ...steps, index] })) : []
}

function mention({ value, path }: Part, steps: readonly string[]): Mention[] {
  const text = valueAt(value, steps)
  return typeof text === 'string' ? [{ text, path: [...path, ...steps] }] : []
}

function apiRoute(api: Part): Mention[] {
  return route(api, 'restSettings', valueAt(api.value, ['name']))
}

function edgeRoute(controller: Part): Mention[] {
  const { value } = controller
  const settings = valueAt(value, ['edgeRestSettings'])
  if (valueAt(settings, ['restEnabled']) === false) return []
  if (settings === undefined && valueAt(value, ['edgeKafkaSettings']) !== undefined) return []
  return route(controller, 'edgeRestSettings', valueAt(value, ['edgeControllerOptions', 'functionName']))
}

function route({ value, path }: Part, settings: string, name: unknown): Mention[] {
  const { method = 'POST', path: routePath = `/${name}` } = (valueAt(value, [settings]) ?? {}) as Record<
    string,
    unknown
  >
  if (typeof method !== 'string' || typeof routePath !== 'string' || typeof name !== 'string') return []
  const shape = routePath.replaceAll(/(?<=\/)(?::\w+|\{\w+\})(?=\/|$)/g, ':')
  return [{ text: `${method.toUpperCase()} ${shape}`, path: [...path, settings, 'path'] }]
}
