import { existsSync, readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { parseDocument } from 'yaml'
import type { z } from 'zod'
import { type DocumentFault, ServiceError } from '../service-error.ts'
import { completeFragment } from './complete-fragment.ts'
import { documentSchema } from './document-schema.ts'
import type { BusinessApi, EdgeController, ServiceDocument } from './service-document.ts'

export interface ReadOptions {
  /** What relative paths in the document start from. Default: the document's own folder, else the working directory */
  readonly folder?: string
}

/**
 * Reads what describes a service: an object, JSON or YAML text, or the path of a file. A fragment (one API, one edge
 * controller, one action) is read as a service with that alone.
 * @throws ServiceError `invalid_document` listing every fault with its path in the document
 */
export function readServiceDocument(input: unknown, options: ReadOptions = {}): ServiceDocument {
  const { content, folder } = contentOf(input)
  const result = documentSchema.safeParse(completeFragment(content))
  if (!result.success) throw invalidDocument(result.error.issues.map(faultOf))
  return toServiceDocument(result.data, options.folder ?? folder)
}

function contentOf(input: unknown): { content: unknown; folder: string } {
  if (typeof input !== 'string') return { content: input, folder: process.cwd() }
  const isFile = !/[\n{[]/.test(input) && existsSync(input)
  const document = parseDocument(isFile ? readFileSync(input, 'utf8') : input)
  const [error] = document.errors
  if (error) throw invalidDocument([{ path: '', message: error.message }])
  return { content: document.toJS(), folder: isFile ? dirname(resolve(input)) : process.cwd() }
}

function faultOf(issue: z.core.$ZodIssue): DocumentFault {
  return { path: pathText(issue.path), message: issue.message }
}

function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '')
}

function invalidDocument(faults: readonly DocumentFault[]): ServiceError {
  const lines = faults.map(({ path, message }) => `- ${path === '' ? '' : `${path}: `}${message}`)
  return new ServiceError('invalid_document', `the service's document cannot be used:\n${lines.join('\n')}`, { faults })
}

type ParsedDocument = z.output<typeof documentSchema>

function toServiceDocument(parsed: ParsedDocument, folder: string): ServiceDocument {
  const { machineToMachineBlockList, allowedM2MClients, multiTenant } = parsed.serviceSettings.serviceOptions
  return {
    serviceOptions: { machineToMachineBlockList, allowedM2MClients, multiTenant },
    businessApis: parsed.businessApis.map((api) => toBusinessApi(api, folder)),
    edgeControllers: parsed.edgeControllers.map(toEdgeController),
    actions: {
      apiCallActions: parsed.actions.apiCallActions.map(({ name, apiCallRequest }) => ({
        name,
        request: apiCallRequest,
      })),
      interserviceCallActions: parsed.actions.interserviceCallActions.map(({ apiParameters, ...action }) => ({
        ...action,
        targetService: action.targetService.replace(/-service$/, ''),
        parameters: apiParameters,
      })),
      publishEventActions: parsed.actions.publishEventActions,
    },
  }
}

function toBusinessApi(api: ParsedDocument['businessApis'][number], folder: string): BusinessApi {
  const { name, authOptions, restSettings, grpcSettings, kafkaSettings, input, actions } = api
  return {
    name,
    authOptions,
    rest: { method: restSettings.method, path: toRoutePath(restSettings.path ?? `/${name}`) },
    ...(grpcSettings && { grpc: { ...grpcSettings, protoFile: resolve(folder, grpcSettings.protoFile) } }),
    ...(kafkaSettings?.hasKafkaController &&
      kafkaSettings.requestTopic && { kafka: { requestTopic: kafkaSettings.requestTopic } }),
    ...(input && { input }),
    actions,
  }
}

function toEdgeController(controller: ParsedDocument['edgeControllers'][number]): EdgeController {
  const { edgeControllerOptions, edgeRestSettings, edgeKafkaSettings } = controller
  const { functionName, ...authOptions } = edgeControllerOptions
  const rest =
    edgeRestSettings ?? (edgeKafkaSettings ? undefined : { restEnabled: true, path: undefined, method: 'POST' })
  return {
    functionName,
    authOptions,
    ...(rest?.restEnabled && { rest: { method: rest.method, path: toRoutePath(rest.path ?? `/${functionName}`) } }),
    ...(edgeKafkaSettings?.kafkaEnabled &&
      edgeKafkaSettings.requestTopic && { kafka: { requestTopic: edgeKafkaSettings.requestTopic } }),
  }
}

/** Parameters as `:name`, whether they were written so or as `{name}`. */
function toRoutePath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1')
}
