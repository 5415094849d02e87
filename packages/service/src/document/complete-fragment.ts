/**
 * A document that is one part of a service alone becomes the document of a service with that part. What has no name
 * gets one: see nameOf.
 */
export function completeFragment(content: unknown): unknown {
  if (typeof content !== 'object' || content === null || Array.isArray(content)) return content
  const part = content as Record<string, unknown>
  const has = (...names: string[]) => names.some((name) => Object.hasOwn(part, name))
  if (has('serviceSettings', 'businessApis', 'edgeControllers')) return part
  if (has('edgeControllerOptions', 'edgeRestSettings', 'edgeKafkaSettings')) return { edgeControllers: [part] }
  if (has('apiCallActions', 'interserviceCallActions', 'publishEventActions')) return { actions: part }
  if (has('apiCallRequest')) return { actions: { apiCallActions: [{ name: 'apiCall', ...part }] } }
  if (has('targetService', 'targetApi')) {
    return { actions: { interserviceCallActions: [{ name: part.targetApi, ...part }] } }
  }
  if (has('topic', 'message')) return { actions: { publishEventActions: [{ name: 'publishEvent', ...part }] } }
  if (has('serviceOptions')) return { serviceSettings: part }
  if (has('authOptions', 'restSettings', 'grpcSettings', 'kafkaSettings', 'input', 'name')) {
    return { businessApis: [{ name: nameOf(part), ...part }] }
  }
  return part
}

/** From the gRPC method, else the topic, else the path, else `api`: `stock.decrease` gives `stockDecrease`. */
function nameOf(api: Record<string, unknown>): string {
  const member = (settings: string, name: string) => {
    const value = (api[settings] as Record<string, unknown> | undefined)?.[name]
    return typeof value === 'string' ? value : ''
  }
  const source =
    member('grpcSettings', 'method') || member('kafkaSettings', 'requestTopic') || member('restSettings', 'path')
  const words = source.split(/[^A-Za-z0-9]+/).filter((word) => word !== '')
  const joined = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
  return joined === '' ? 'api' : joined.charAt(0).toLowerCase() + joined.slice(1)
}
