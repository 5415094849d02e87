import { resolve } from 'node:path'
import type { ParsedDocument } from './document-schema.ts'
import type { BusinessApi, EdgeController, ServiceDocument } from './service-document.ts'

/** From how a document is written to what it means; relative paths start from `folder`. */
export function toServiceDocument(parsed: ParsedDocument, folder: string): ServiceDocument {
  const { apiCallActions, interserviceCallActions, publishEventActions } = parsed.actions
  const { machineToMachineBlockList, allowedM2MClients, multiTenant } = parsed.serviceSettings.serviceOptions
  return {
    serviceOptions: { machineToMachineBlockList, allowedM2MClients, multiTenant },
    businessApis: parsed.businessApis.map((api) => toBusinessApi(api, folder)),
    edgeControllers: parsed.edgeControllers.map(toEdgeController),
    actions: {
      apiCallActions: apiCallActions.map(({ name, apiCallRequest }) => ({ name, request: apiCallRequest })),
      interserviceCallActions: interserviceCallActions.map(({ apiParameters, targetService, ...action }) => ({
        ...action,
        targetService: targetService.replace(/(?<=.)-service$/, ''),
        parameters: apiParameters,
      })),
      publishEventActions,
    },
  }
}

function toBusinessApi(api: ParsedDocument['businessApis'][number], folder: string): BusinessApi {
  const { name, authOptions, restSettings, grpcSettings, kafkaSettings, input, actions } = api
  const topic = kafkaSettings?.hasKafkaController ? kafkaSettings.requestTopic : undefined
  return {
    name,
    authOptions,
    rest: { method: restSettings.method, path: restSettings.path ?? `/${name}` },
    ...(grpcSettings && { grpc: { ...grpcSettings, protoFile: resolve(folder, grpcSettings.protoFile) } }),
    ...(topic !== undefined && { kafka: { requestTopic: topic } }),
    ...(input && { input }),
    actions,
  }
}

function toEdgeController(controller: ParsedDocument['edgeControllers'][number]): EdgeController {
  const { edgeControllerOptions, edgeRestSettings, edgeKafkaSettings } = controller
  const { functionName, ...authOptions } = edgeControllerOptions
  // As an API that says nothing of how it is reached, it is at POST and its name.
  const byDefault = edgeKafkaSettings === undefined ? { restEnabled: true, method: 'POST', path: undefined } : undefined
  const rest = edgeRestSettings ?? byDefault
  const topic = edgeKafkaSettings?.kafkaEnabled ? edgeKafkaSettings.requestTopic : undefined
  return {
    functionName,
    authOptions,
    ...(rest?.restEnabled && { rest: { method: rest.method, path: rest.path ?? `/${functionName}` } }),
    ...(topic !== undefined && { kafka: { requestTopic: topic } }),
  }
}
