import { ClientError } from '../client-error.ts'
import { shortNameOf } from './short-name.ts'

/** The base address of one service, or of all of them by name. */
export interface ServiceUrl {
  /** The base address of this service, without a slash at the end. */
  of(shortName: string): string
  /** True for the base address of this service and all below it. */
  holds(address: URL): boolean
  /** Whose place in the template this address is. */
  serviceAt(address: URL): string | undefined
  readonly pathLength: number
}

/** A label that no host has, to stand for `$service` while the rest is read as a URL. */
const placeholder = 'service-stands-here'

/** @throws ClientError `invalid_configuration` */
export function readServiceUrl(text: string, { isTemplate }: { isTemplate: boolean }): ServiceUrl {
  if (typeof text !== 'string') throw unusable('the address of a service is a text')
  const count = text.split('$service').length - 1
  if (isTemplate && count !== 1) throw unusable('the template of service addresses must hold $service exactly once')
  if (!isTemplate && count !== 0) throw unusable('$service belongs into serviceUrl; services holds one address each')
  const concrete = text.replace('$service', placeholder)
  const url = URL.canParse(concrete) ? new URL(concrete) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw unusable(`${shown(text)} is no http or https address of services; write such as http://$service:8080`)
  }
  if (url.username !== '' || url.password !== '' || /[?#]/.test(text)) {
    throw unusable('the address of a service has no user name, password, query or fragment')
  }
  const labels = url.hostname.split('.')
  const segments = url.pathname.replace(/\/+$/, '').split('/')
  if (isTemplate && !labels.includes(placeholder) && !segments.includes(placeholder)) {
    throw unusable(`in ${shown(text)} $service must be a whole label of the host, or a whole segment of the path`)
  }

  const parts = [...labels, ...segments]
  const variable = isTemplate ? parts.indexOf(placeholder) : -1
  return {
    pathLength: segments.length,
    of: (shortName) => {
      const base = `${url.origin}${segments.join('/')}`
      return isTemplate ? base.replace(placeholder, () => shortName) : base
    },
    holds: (address) => partsOf(address) !== undefined,
    serviceAt: (address) => shortNameOf(partsOf(address)?.[variable]),
  }

  /** What stands in the places of `parts`, where all but the variable one is the same. */
  function partsOf(address: URL): string[] | undefined {
    if (address.protocol !== url!.protocol || address.port !== url!.port) return undefined
    const itsLabels = address.hostname.split('.')
    const itsSegments = address.pathname.split('/').slice(0, segments.length)
    if (itsLabels.length !== labels.length || itsSegments.length !== segments.length) return undefined
    const found = [...itsLabels, ...itsSegments]
    return found.every((part, index) => part === parts[index] || index === variable) ? found : undefined
  }
}

function shown(text: string): string {
  return URL.canParse(text) && !text.includes('@') ? text : 'what is given'
}

function unusable(message: string): ClientError {
  return new ClientError('invalid_configuration', message)
}
