import {
  createServiceDirectory,
  createServiceSigner,
  createSignedFetch,
  type ServiceDirectory,
  type ServiceSigner,
  signerFromEnvironment,
} from '@countersign/client'
import { serviceName } from '@countersign/tokens'
import { ActionError } from './actions/action-error.ts'
import { hasLiteralOrigin } from './actions/literal-origin.ts'
import type { ServiceDocument } from './document/service-document.ts'
import type { ServiceLogger } from './service-context.ts'
import { ServiceError } from './service-error.ts'
import type { Environment, ServiceSettings } from './settings/settings.ts'

export interface SigningOptions {
  readonly environment: Environment
  readonly settings: ServiceSettings
  readonly services: Readonly<Record<string, string>> | undefined
  readonly fetch: typeof fetch | undefined
  readonly log: ServiceLogger
  readonly now: () => number
}

/** What a service says in its own name: its key, whom it knows, and its signed calls. */
export interface Signing {
  /** The full name; `service` for one that has none, and so can sign nothing. */
  readonly name: string
  readonly signer: ServiceSigner | undefined
  readonly directory: ServiceDirectory
  signedFetch(action: string, tenant: string | undefined): typeof fetch
  isService(url: URL): boolean
  keys(): { readonly keys: readonly object[] }
  /** Why the document's actions could not be run. */
  faults(actions: ServiceDocument['actions']): string[]
  close(): void
}

/** Throws ServiceError `invalid_environment` for a name, key or address that cannot be used; without a key nothing is signed. */
export function createSigning(options: SigningOptions): Signing {
  const { environment, settings, services = {} } = options
  const name =
    settings.name === undefined ? 'service' : usable(() => serviceName(settings.name!), 'SERVICE_SHORT_NAME: ')
  const directory = usable(
    () =>
      createServiceDirectory({ serviceUrl: settings.serviceUrl, services: { ...settings.serviceUrls, ...services } }),
    'SERVICE_URL or SERVICE_URLS: ',
  )
  const signer = usable(() => signerOf(options))
  const isService = (url: URL) => directory.audienceOf(url.href) !== url.origin

  return {
    name,
    signer,
    directory,
    isService,
    signedFetch(action, tenant) {
      if (signer === undefined)
        throw new ActionError(action, 'not_signed', 'the service has no key; set SERVICE_SECRET_KEY')
      return createSignedFetch(signer, { directory, tenant, ...(options.fetch && { fetch: options.fetch }) })
    },
    keys: () => signer?.jwks() ?? { keys: [] },
    faults(actions) {
      if (signer !== undefined || !needsKey(actions, settings)) return []
      return [
        // In the words of the guard, so that it is told once.
        ...(settings.name === undefined
          ? ['SERVICE_SHORT_NAME is not set; it says the name of this service, such as inventory']
          : []),
        ...(hasKey(environment)
          ? []
          : [
              'its actions sign what they send, and there is no key: set SERVICE_SECRET_KEY or SERVICE_SECRET_KEY_FILE; make one with: countersign service keygen',
            ]),
      ]
    },
    close: () => signer?.close(),
  }
}

/** A service without a name has a fault that is told at start. */
function signerOf({ environment, settings, log, now }: SigningOptions): ServiceSigner | undefined {
  if (settings.name === undefined || !hasKey(environment)) return undefined
  return createServiceSigner({
    ...signerFromEnvironment(environment),
    profile: settings.profile,
    now,
    onWarning: (message) => log.warn({}, message),
  })
}

function usable<Result>(make: () => Result, variable = ''): Result {
  try {
    return make()
  } catch (error) {
    throw new ServiceError('invalid_environment', `${variable}${(error as Error).message}`)
  }
}

function hasKey({ SERVICE_SECRET_KEY = '', SERVICE_SECRET_KEY_FILE = '' }: Environment): boolean {
  return SERVICE_SECRET_KEY.trim() !== '' || SERVICE_SECRET_KEY_FILE.trim() !== ''
}

function needsKey(actions: ServiceDocument['actions'], { unsignedOrigins }: ServiceSettings): boolean {
  const { apiCallActions, interserviceCallActions, publishEventActions } = actions
  const signed = apiCallActions.filter(({ request: { url } }) => {
    return !hasLiteralOrigin(url.source) || !unsignedOrigins.includes(new URL(url.source.replace(/[`$].*/, '')).origin)
  })
  return signed.length + interserviceCallActions.length + publishEventActions.length > 0
}
