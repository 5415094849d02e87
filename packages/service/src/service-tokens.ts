import {
  type AccessLists,
  createGuard,
  createServiceTokenVerifier,
  findServiceToken,
  GuardConfigurationError,
  GuardError,
  mergeAccessLists,
  type RequestLike,
  receiverFromEnvironment,
  type ServiceCaller,
  type ServiceTokenOptions,
  type ServiceTokenVerifier,
} from '@countersign/guard'
import { createAuditTrail } from './audit-trail.ts'
import type { ServiceMetrics } from './metrics.ts'
import type { Operation } from './operation.ts'
import { Problem } from './problem.ts'
import type { ServiceTokenCheck } from './rest/service-token-check.ts'
import type { ServiceLogger } from './service-context.ts'
import type { Environment, ServiceSettings } from './settings/settings.ts'
import { createTokenUses, type TokenUses } from './token-uses.ts'

/** What the environment cannot say. */
export type ServiceTokenExtras = Partial<
  Pick<ServiceTokenOptions, 'keys' | 'uses' | 'topicAliases' | 'scopesOf' | 'onValidation' | 'leewaySeconds'>
>

export interface ServiceTokensOptions {
  readonly operations: readonly Operation[]
  readonly environment: Environment
  readonly settings: ServiceSettings
  /** Of the document. */
  readonly lists: AccessLists
  readonly extras: ServiceTokenExtras
  readonly metrics: ServiceMetrics
  readonly log: ServiceLogger
  readonly now: () => number
}

export interface ServiceTokens {
  /** Undefined where no operation takes service tokens, and where `faults` say why there can be none. */
  readonly verifier: ServiceTokenVerifier | undefined
  readonly http: ServiceTokenCheck
  readonly faults: readonly string[]
  /** For the log, at start. */
  readonly notices: readonly string[]
  open(): Promise<void>
  /** Rejects while used tokens cannot be remembered. */
  ready(): Promise<void>
  close(): Promise<void>
}

/** The verifier of incoming service tokens, one for all transports. */
export function createServiceTokens(options: ServiceTokensOptions): ServiceTokens {
  if (!options.operations.some(({ authOptions }) => authOptions.M2MAllowed)) return noServiceTokens
  try {
    return fromEnvironment(options)
  } catch (error) {
    if (!(error instanceof GuardConfigurationError)) throw error
    return { ...noServiceTokens, faults: error.message.split('\n') }
  }
}

function fromEnvironment({
  environment,
  settings,
  lists,
  extras,
  metrics,
  log,
  now,
}: ServiceTokensOptions): ServiceTokens {
  const receiver = receiverFromEnvironment({ ...environment, ...(extras.keys && { JWKS_URL: 'given in code' }) })
  const merged = mergeAccessLists(receiver.options, lists)
  const uses = extras.uses === undefined ? createTokenUses(settings, log, now) : givenUses(extras.uses)
  const trail = createAuditTrail(environment, receiver.options.name, log)
  const verifier = createServiceTokenVerifier({
    ...receiver.options,
    ...extras,
    ...merged,
    uses: uses.memory,
    md5: settings.acceptMd5 && (settings.md5Base === undefined ? true : { publicBase: settings.md5Base }),
    maxBody: settings.maximumBody,
    mountedAt: settings.mountedAt,
    fetchOptions: { allowHttp: true, allowPrivateAddresses: true },
    logger: log,
    now,
    onValidation(event) {
      metrics.onValidation(event)
      trail.report(event)
      extras.onValidation?.(event)
    },
  })
  const unenforced =
    merged.enforceLists === false && (lists.blockList?.length || lists.allowList !== undefined)
      ? ['the lists of the document are off here; they are enforced in staging and production']
      : []
  return {
    verifier,
    http: httpCheck(verifier),
    faults: [],
    notices: [...receiver.notices, ...unenforced, ...uses.notices],
    open: () => uses.open(),
    ready: () => uses.ready(),
    async close() {
      await trail.close()
      await uses.close()
    },
  }
}

function httpCheck(verifier: ServiceTokenVerifier): ServiceTokenCheck {
  const guard = createGuard({ serviceTokens: verifier })
  return {
    carries: (request) => findServiceToken(request) !== undefined,
    verify: async (request, content) => {
      const { headers, rawHeaders, url, method } = request
      const call: RequestLike = { headers, rawHeaders, url, method, readContent: () => content().catch(refuseUnread) }
      return (await guard.verify(call, { serviceToken: 'required' })) as ServiceCaller
    },
  }
}

/** In the guard's terms: what cannot be read is the caller's fault, and no outage here. */
function refuseUnread(error: unknown): never {
  if (!(error instanceof Problem)) throw error
  const { status, code: reason, message } = error
  throw new GuardError({ code: status === 413 ? 'body_too_large' : 'invalid_request', reason, message, realm: '' })
}

function givenUses(memory: NonNullable<ServiceTokenExtras['uses']>): TokenUses {
  return { memory, notices: [], async open() {}, async ready() {}, async close() {} }
}

const noServiceTokens: ServiceTokens = {
  verifier: undefined,
  http: {
    carries: () => false,
    verify: () => Promise.reject(new Error('a service token was to be verified, and there is no verifier')),
  },
  faults: [],
  notices: [],
  async open() {},
  async ready() {},
  async close() {},
}
