import { createHash } from 'node:crypto'
import { isSpiffeId, parseSpiffeId, verifyJwtSvid } from '@countersign/spiffe'
import type {
  JWTSVIDRequest,
  JWTSVIDResponse,
  SpiffeWorkloadAPIServer,
  ValidateJWTSVIDRequest,
  ValidateJWTSVIDResponse,
} from '@countersign/spiffe/protocol/workload-api'
import { type ServerUnaryCall, type ServerWritableStream, type sendUnaryData, status } from '@grpc/grpc-js'
import { reasonOf } from '../agent-error.ts'
import type { AgentLog } from '../agent-log.ts'
import type { BundleStore } from '../bundles/bundle-store.ts'
import { x509Version } from '../bundles/x509-version.ts'
import { type Clock, nowSeconds } from '../clock.ts'
import type { AuthorizedEntry } from '../entries/authorized-entry.ts'
import type { CallPeers } from '../peer/peer-of-call.ts'
import type { JwtSvidCache } from '../svids/jwt-svid-cache.ts'
import { asRefusal, CallRefusal, noIdentity } from '../workloads/call-refusal.ts'
import { type Composed, followWorkload } from '../workloads/follow-workload.ts'
import type { AttestedWorkload, WorkloadIdentities } from '../workloads/workload-identities.ts'
import { checkSecurityHeader } from './security-header.ts'
import { jwtBundles, type KnownBundles, x509BundlesResponse, x509SvidResponse } from './workload-messages.ts'

export interface WorkloadApiOptions {
  readonly identities: WorkloadIdentities
  readonly jwtSvids: JwtSvidCache
  readonly bundles: BundleStore
  readonly trustDomain: string
  readonly peers: CallPeers
  readonly clock: Clock
  readonly log: AgentLog
}

const mostAudiences = 32
const longestAudience = 2_048
const longestToken = 64 * 1024

/** Calls back when the response was taken, never for one that was not. */
type Write<Response> = (response: Response, taken: () => void) => void

/** The handlers of the SPIFFE Workload API (SPIFFE Workload API, sections 5 and 6). */
export function workloadApi(options: WorkloadApiOptions): SpiffeWorkloadAPIServer {
  const { identities, log, peers, clock } = options

  const streaming =
    <Response>(
      compose: (workload: AttestedWorkload, entries: readonly AuthorizedEntry[], write: Write<Response>) => Composed,
    ) =>
    (call: ServerWritableStream<unknown, Response>) => {
      try {
        checkSecurityHeader(call.metadata)
        const followed = followWorkload({
          identities,
          clock,
          log,
          process: peers.of(call),
          compose: (workload, entries) =>
            compose(workload, entries, (response, taken) => call.write(response, (error: unknown) => error || taken())),
          end: (refusal) => call.emit('error', refusal),
        })
        call.on('cancelled', followed.stop)
        call.on('close', followed.stop)
      } catch (error) {
        call.emit('error', asRefusal(error, log))
      }
    }

  const unary =
    <Request, Response>(answer: (call: ServerUnaryCall<Request, Response>) => Promise<Response>) =>
    async (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>) => {
      try {
        checkSecurityHeader(call.metadata)
        callback(null, await answer(call))
      } catch (error) {
        callback(asRefusal(error, log))
      }
    }

  return {
    fetchX509Svid: streaming((workload, entries, write) => {
      const svids = identities.x509Svids(entries)
      const bundles = identities.bundlesFor(entries)
      return {
        version: digest([
          ...svids.map(({ serialNumber, entry }) => `${serialNumber} ${entry.hint}`),
          ...bundleVersions(bundles),
        ]),
        complete: svids.length === entries.length,
        some: svids.length > 0,
        send(taken) {
          write(x509SvidResponse(svids, bundles), taken)
          for (const svid of svids) identities.delivered(workload, svid)
        },
      }
    }),
    fetchX509Bundles: streaming((_workload, entries, write) => {
      const bundles = identities.bundlesFor(entries)
      return whole(bundleVersions(bundles), (taken) => write(x509BundlesResponse(bundles), taken))
    }),
    fetchJwtBundles: streaming((_workload, entries, write) => {
      const bundles = jwtBundles(identities.bundlesFor(entries))
      const versions = Object.entries(bundles).map(([trustDomain, document]) => `${trustDomain} ${document}`)
      return whole(versions, (taken) => write({ bundles }, taken))
    }),
    fetchJwtsvid: unary((call) => fetchJwtSvids(call.request, options, () => identities.attest(peers.of(call)))),
    validateJwtsvid: unary(async (call) => validateJwtSvid(call.request, options)),
  }
}

async function fetchJwtSvids(
  request: JWTSVIDRequest,
  options: WorkloadApiOptions,
  attest: () => Promise<AttestedWorkload>,
): Promise<JWTSVIDResponse> {
  const audience = checkedAudience(request.audience)
  if (request.spiffeId !== '' && !isSpiffeId(request.spiffeId))
    throw new CallRefusal(status.INVALID_ARGUMENT, 'the requested SPIFFE ID is none')
  const workload = await attest()
  const all = options.identities.entriesFor(workload)
  const wanted = request.spiffeId === '' ? undefined : parseSpiffeId(request.spiffeId).toString()
  const entries = wanted === undefined ? all : all.filter(({ spiffeId }) => spiffeId === wanted)
  if (entries.length === 0) throw noIdentity()
  const svids = await Promise.all(
    entries.map(async (entry) => {
      const { token, jwtId, expiresAt } = await options.jwtSvids.get(entry, audience)
      options.identities.deliveredJwt(workload, entry, jwtId, expiresAt)
      return { spiffeId: entry.spiffeId, svid: token, hint: entry.hint }
    }),
  )
  return { svids }
}

/** @returns each audience once, empty ones left out */
function checkedAudience(audience: readonly string[]): string[] {
  const named = [...new Set(audience.filter((name) => name !== ''))]
  if (named.length === 0) throw new CallRefusal(status.INVALID_ARGUMENT, 'audience must be specified')
  if (named.length > mostAudiences || named.some((name) => name.length > longestAudience))
    throw new CallRefusal(
      status.INVALID_ARGUMENT,
      `at most ${mostAudiences} audiences of ${longestAudience} characters each`,
    )
  return named
}

/** Needs no identity: what a token says is nobody's secret to whoever has it. */
function validateJwtSvid(request: ValidateJWTSVIDRequest, options: WorkloadApiOptions): ValidateJWTSVIDResponse {
  const { audience, svid: token } = request
  if (audience === '') throw new CallRefusal(status.INVALID_ARGUMENT, 'audience must be specified')
  if (token === '' || token.length > longestToken)
    throw new CallRefusal(status.INVALID_ARGUMENT, 'svid must be specified')
  try {
    const svid = verifyJwtSvid(token, { audience, bundles: options.bundles, now: nowSeconds(options.clock) })
    const claims = { ...svid.claims, aud: [...svid.audience] } as Record<string, unknown>
    // What another trust domain puts into further claims was never agreed on.
    const foreign = svid.id.trustDomain !== options.trustDomain
    return {
      spiffeId: svid.id.toString(),
      claims: foreign ? { sub: claims.sub, aud: claims.aud, exp: claims.exp } : claims,
    }
  } catch (error) {
    throw new CallRefusal(status.INVALID_ARGUMENT, reasonOf(error))
  }
}

function whole(versions: readonly string[], send: Composed['send']): Composed {
  return { version: digest(versions), complete: true, some: true, send }
}

function bundleVersions({ own, federated }: KnownBundles): string[] {
  return [own, ...federated].map(x509Version)
}

function digest(parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('\n')).digest('base64')
}
