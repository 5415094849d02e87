import { serviceName } from '@countersign/tokens'
import { ClientError } from '../client-error.ts'
import { readServiceUrl, type ServiceUrl } from './service-url.ts'
import { shortNameOf } from './short-name.ts'

/** Where services are, and who is at an address. */
export interface ServiceDirectory {
  /** The base address of a service, without a slash at the end. Throws ClientError `unknown_service`. */
  urlOf(name: string): string
  /** Who a token for this address must name: `inventory-service`, or the origin of an address outside the directory. */
  audienceOf(url: string): string
}

export interface ServiceDirectoryOptions {
  /** With `$service` as a host label or a path segment: `http://$service:8080`, `https://gateway.example/$service`. */
  serviceUrl?: string
  /** Services that are elsewhere, by name. They win over the template. */
  services?: Readonly<Record<string, string>>
}

/** @throws ClientError `invalid_configuration` */
export function createServiceDirectory({ serviceUrl, services = {} }: ServiceDirectoryOptions = {}): ServiceDirectory {
  const named = readServices(services)
  const template = serviceUrl === undefined ? undefined : readServiceUrl(serviceUrl, { isTemplate: true })

  return {
    urlOf(name) {
      const shortName = shortNameOf(name)
      const place = shortName === undefined ? undefined : (named.get(shortName) ?? template)
      if (place === undefined) throw unknownService(name)
      return place.of(shortName!)
    },
    audienceOf(url) {
      if (!URL.canParse(url)) throw new ClientError('invalid_target', 'the address of the call is no absolute URL')
      const address = new URL(url)
      const shortName = findNamed(address) ?? findByTemplate(address)
      return shortName === undefined ? address.origin : serviceName(shortName)
    },
  }

  /** The longest base that fits: one service may be mounted below another. */
  function findNamed(address: URL): string | undefined {
    const fitting = [...named].filter(([, place]) => place.holds(address))
    return fitting.sort(([, a], [, b]) => b.pathLength - a.pathLength)[0]?.[0]
  }

  /** A service that is named to be elsewhere is not at its place in the template. */
  function findByTemplate(address: URL): string | undefined {
    const shortName = template?.serviceAt(address)
    return shortName === undefined || named.has(shortName) ? undefined : shortName
  }
}

function readServices(services: Readonly<Record<string, string>>): Map<string, ServiceUrl> {
  const named = new Map<string, ServiceUrl>()
  const bases = new Map<string, string>()
  for (const [name, url] of Object.entries(services)) {
    const shortName = shortNameOf(name)
    if (shortName === undefined) throw unusable(`services holds ${JSON.stringify(name)}, which is no name of a service`)
    if (named.has(shortName)) throw unusable(`services names ${shortName} twice`)
    const place = readServiceUrl(url, { isTemplate: false })
    const base = place.of(shortName)
    const other = bases.get(base)
    if (other !== undefined) throw unusable(`services gives ${other} and ${shortName} one address`)
    bases.set(base, shortName)
    named.set(shortName, place)
  }
  return named
}

function unknownService(name: string): ClientError {
  return new ClientError(
    'unknown_service',
    `no address is known for the service ${JSON.stringify(String(name).slice(0, 80))}; name it in services, or set ` +
      'SERVICE_URL, such as http://$service:8080',
  )
}

function unusable(message: string): ClientError {
  return new ClientError('invalid_configuration', message)
}
