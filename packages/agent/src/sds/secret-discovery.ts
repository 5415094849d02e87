import { createHash, randomBytes } from 'node:crypto'
import type { DiscoveryRequest, DiscoveryResponse } from '@countersign/spiffe/protocol/envoy-discovery'
import type { SecretDiscoveryServiceServer } from '@countersign/spiffe/protocol/envoy-secret'
import { type ServerDuplexStream, status } from '@grpc/grpc-js'
import type { AgentLog } from '../agent-log.ts'
import { x509Version } from '../bundles/x509-version.ts'
import type { Clock } from '../clock.ts'
import type { AuthorizedEntry } from '../entries/authorized-entry.ts'
import type { CallPeers } from '../peer/peer-of-call.ts'
import type { WorkloadProcess } from '../process/workload-process.ts'
import { asRefusal, CallRefusal } from '../workloads/call-refusal.ts'
import { type Composed, type Followed, followWorkload } from '../workloads/follow-workload.ts'
import type { AttestedWorkload, WorkloadIdentities } from '../workloads/workload-identities.ts'
import { certificateSecret, namedSecrets, secretType, validationSecret } from './secrets.ts'

export interface SecretDiscoveryOptions {
  readonly identities: WorkloadIdentities
  readonly peers: CallPeers
  readonly clock: Clock
  readonly log: AgentLog
}

const mostNames = 100
const longestReason = 256

/** Envoy's secret discovery service, version 3: what the Workload API says, as Envoy's secrets. */
export function secretDiscovery(options: SecretDiscoveryOptions): SecretDiscoveryServiceServer {
  const { log, peers } = options
  return {
    streamSecrets: (call) => {
      try {
        streamSecrets(call, peers.of(call), options)
      } catch (error) {
        call.emit('error', asRefusal(error, log))
      }
    },
    fetchSecrets: (call, callback) => {
      try {
        checkRequest(call.request)
        const process = peers.of(call)
        const followed: Followed = followWorkload({
          ...options,
          process,
          compose: (workload, entries) =>
            compose(call.request, workload, entries, options, (response) => {
              callback(null, response)
              setImmediate(() => followed.stop())
            }),
          end: (refusal) => callback(refusal),
        })
        call.on('cancelled', followed.stop)
      } catch (error) {
        callback(asRefusal(error, log))
      }
    },
    deltaSecrets: (call) =>
      call.emit('error', new CallRefusal(status.UNIMPLEMENTED, 'delta discovery is not served; use api_type: GRPC')),
  }
}

/** The state-of-the-world variant of xDS: a request asks, or says how the last response was taken. */
function streamSecrets(
  call: ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>,
  process: WorkloadProcess,
  options: SecretDiscoveryOptions,
): void {
  let asked: DiscoveryRequest | undefined
  let lastNonce = ''
  let followed: Followed | undefined
  const write = (response: DiscoveryResponse, taken: () => void) => {
    lastNonce = response.nonce
    call.write(response, (error: unknown) => error || taken())
  }
  const follow = () =>
    followWorkload({
      ...options,
      process,
      compose: (workload, entries) => compose(asked as DiscoveryRequest, workload, entries, options, write),
      end: (refusal) => call.emit('error', refusal),
    })

  call.on('data', (request: DiscoveryRequest) => {
    try {
      checkRequest(request)
    } catch (error) {
      followed?.stop()
      call.emit('error', error)
      return
    }
    // An answer to an older response says nothing any more.
    if (lastNonce !== '' && request.responseNonce !== lastNonce) return
    if (request.errorDetail !== undefined) {
      const { pid } = process
      options.log.warn(
        { pid, reason: request.errorDetail.message.slice(0, longestReason) },
        'Envoy refused the secrets it was sent and keeps its old ones',
      )
    }
    const before = asked
    asked = request
    if (followed === undefined) followed = follow()
    else if (before !== undefined && !sameNames(before.resourceNames, request.resourceNames)) followed.refresh()
  })
  const stop = () => followed?.stop()
  call.on('end', () => {
    stop()
    call.end()
  })
  call.on('cancelled', stop)
  call.on('close', stop)
}

function checkRequest(request: DiscoveryRequest): void {
  if (request.typeUrl !== '' && request.typeUrl !== secretType)
    throw new CallRefusal(status.INVALID_ARGUMENT, `only resources of the type ${secretType} are served`)
  if (request.resourceNames.length > mostNames)
    throw new CallRefusal(status.INVALID_ARGUMENT, `at most ${mostNames} secrets can be asked for in one stream`)
}

function compose(
  request: DiscoveryRequest,
  workload: AttestedWorkload,
  entries: readonly AuthorizedEntry[],
  { identities }: SecretDiscoveryOptions,
  write: (response: DiscoveryResponse, taken: () => void) => void,
): Composed {
  const secrets = namedSecrets(request.resourceNames, entries, identities.bundlesFor(entries))
  if (secrets === undefined)
    throw new CallRefusal(status.PERMISSION_DENIED, 'the workload is not authorized for the requested secrets')
  const svids = identities.x509Svids(secrets.flatMap((secret) => ('entry' in secret ? [secret.entry] : [])))
  const svidOf = (entry: AuthorizedEntry) => svids.find((svid) => svid.entry.id === entry.id)
  const there = secrets.filter((secret) => 'bundles' in secret || svidOf(secret.entry) !== undefined)
  const version = createHash('sha256')
  for (const secret of there) {
    version.update(`\n${secret.name} `)
    if ('entry' in secret) version.update(svidOf(secret.entry)?.serialNumber ?? '')
    else for (const bundle of secret.bundles) version.update(x509Version(bundle))
  }
  const versionInfo = version.digest('hex')
  return {
    version: versionInfo,
    complete: there.length === secrets.length,
    // A response without a secret that was asked for would take it away from Envoy.
    some: there.length > 0 && (there.length === secrets.length || request.resourceNames.length === 0),
    send(taken) {
      const resources = there.map((secret) => {
        if ('bundles' in secret) return validationSecret(secret.name, secret.bundles)
        return certificateSecret(secret.name, svidOf(secret.entry) as never)
      })
      write({ versionInfo, resources, typeUrl: secretType, nonce: randomBytes(8).toString('hex') }, taken)
      for (const svid of svids) identities.delivered(workload, svid)
    },
  }
}

function sameNames(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((name) => other.includes(name))
}
