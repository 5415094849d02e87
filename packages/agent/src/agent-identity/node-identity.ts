import { type Bundle, verifyX509Svid } from '@countersign/spiffe'
import { AgentService } from '@countersign/spiffe/protocol/spire-agent'
import { status } from '@grpc/grpc-js'
import { AgentError, reasonOf } from '../agent-error.ts'
import type { AgentLog } from '../agent-log.ts'
import type { BundleStore } from '../bundles/bundle-store.ts'
import { fetchOwnBundle } from '../bundles/fetch-bundles.ts'
import { isSignedUnder, type ReceivedBundle } from '../bundles/received-bundle.ts'
import { type Clock, nowSeconds, pause } from '../clock.ts'
import { type AgentKey, agentKey, attestNode } from '../node-attestation/attest-node.ts'
import type { NodeAttestor } from '../node-attestation/node-attestor.ts'
import { type Bootstrap, bootstrapTrust } from '../server-connection/bootstrap.ts'
import { grpcCode, standingAfter } from '../server-connection/call-failure.ts'
import {
  openServerConnection,
  type ServerConnection,
  type ServerTrust,
} from '../server-connection/server-connection.ts'
import type { ServerLink } from '../server-connection/server-link.ts'
import { renewalTime } from '../svids/renewal.ts'
import { type Attempts, tryUntilDone } from '../try-until-done.ts'
import { type AgentIdentity, expiresAt, issuedAt, receivedIdentity } from './agent-identity.ts'
import { attestationKeys } from './attestation-key.ts'
import { distrustOf } from './distrust.ts'
import { createIdentityKeeper, type IdentityKeeper } from './identity-keeper.ts'
import type { IdentityStore } from './stored-identity.ts'

export interface NodeIdentityOptions {
  /** `host:port` */
  readonly address: string
  readonly trustDomain: string
  readonly bootstrap: Bootstrap
  /** Unset: only a stored identity will do. */
  readonly attestor?: NodeAttestor
  readonly store?: IdentityStore
  readonly link: ServerLink
  readonly bundles: BundleStore
  readonly clock: Clock
  readonly random: () => number
  readonly log: AgentLog
  /** The server removed this node, and it cannot come back by itself. */
  readonly onRemoved: (error: AgentError) => void
}

/** How long a call may wait for the identity that takes the place of its own. */
const replacementPatienceMilliseconds = 10_000

/** This agent's own identity: got by attestation or from the disk, renewed at half its life, lost when the server says so. */
export class NodeIdentity {
  readonly #options: NodeIdentityOptions
  readonly #keeper: IdentityKeeper
  readonly #stop = new AbortController()
  readonly #attempts: Attempts
  readonly #attestationKey: () => AgentKey
  #current: AgentIdentity | undefined
  #cancelRenewal: () => void = () => {}
  #renewing: Promise<void> | undefined
  /** Attested, and the bundle still to come: a join token is spent by then. */
  #unconfirmed: AgentIdentity | undefined

  constructor(options: NodeIdentityOptions) {
    this.#options = options
    this.#attempts = { ...options, signal: this.#stop.signal }
    this.#attestationKey = attestationKeys(options)
    this.#keeper = createIdentityKeeper({ ...options, store: options.store })
  }

  get current(): AgentIdentity | undefined {
    return this.#current
  }

  /** True while the server will take this identity. */
  get isValid(): boolean {
    return this.#current !== undefined && expiresAt(this.#current) > nowSeconds(this.#options.clock)
  }

  /**
   * Resolves with an identity in use; tries until there is one.
   * @throws AgentError `attestation_refused`, `invalid_configuration`
   */
  async start(): Promise<void> {
    if (this.#restore()) return
    await tryUntilDone(
      this.#attempts,
      'this node could not attest itself yet',
      () => this.#attest(),
      (error) => {
        if (isFinal(error)) throw error
        return false
      },
    )
  }

  /**
   * What a failed call says of this node. Resolves when what had to be done is done.
   * @param over of an identity that was replaced since, the server says only that it was
   */
  async heed(error: unknown, over: ServerConnection): Promise<void> {
    const standing = standingAfter(error)
    if (this.#stop.signal.aborted) return
    if (standing === 'banned') return this.#removed(`the server banned this node: ${reasonOf(error)}`)
    if (over !== this.#options.link.connection()) return
    if (standing === 'must_reattest') return this.#alone(() => this.#attestAgain(error))
    if (this.#renewing !== undefined) return // It finds out by itself.
    const distrust = await this.#distrustBehind(error)
    if (distrust !== undefined) await this.#alone(() => this.#attestAgain(distrust))
  }

  /** Whether calls go over another connection by now; waits for an attestation under way, but not for long. */
  async isReplaced(over: ServerConnection): Promise<boolean> {
    const waited = new AbortController()
    await Promise.race([this.#renewing, pause(this.#options.clock, replacementPatienceMilliseconds, waited.signal)])
    waited.abort()
    return over !== this.#options.link.connection()
  }

  stop(): void {
    this.#stop.abort()
    this.#cancelRenewal()
    this.#keeper.stop()
  }

  #restore(): boolean {
    const stored = this.#options.store?.load()
    if (stored === undefined) return false
    const { clock, log, bundles } = this.#options
    if (expiresAt(stored.identity) <= nowSeconds(clock)) {
      log.info({ spiffe_id: stored.identity.id }, 'the stored identity of this agent has expired; attesting anew')
      return false
    }
    bundles.replace(asReceived(stored.bundle))
    // When it came is not known any more: by its certificate, or now.
    this.#use(stored.identity, issuedAt(stored.identity) * 1000)
    log.info({ spiffe_id: stored.identity.id }, 'this agent goes on with its stored identity')
    return true
  }

  async #attest(): Promise<void> {
    const { address, trustDomain, clock, bundles, log } = this.#options
    const connection = openServerConnection({ address, trustDomain, clock, trust: await this.#trust() })
    try {
      const identity =
        this.#unconfirmed ?? (await attestNode(connection, this.#attestor(), this.#attestationKey(), trustDomain))
      this.#unconfirmed = identity
      const bundle = await fetchOwnBundle(connection, trustDomain, log)
      this.#unconfirmed = undefined
      this.#verify(identity, bundle)
      bundles.replace(bundle)
      this.#save(identity)
      this.#use(identity)
      log.info({ spiffe_id: identity.id, expires_at: expiresAt(identity) }, 'this node is attested')
    } finally {
      connection.close()
    }
  }

  #attestor(): NodeAttestor {
    const { attestor } = this.#options
    if (attestor !== undefined) return attestor
    throw new AgentError(
      'invalid_configuration',
      'there is no stored identity and nothing to attest this node with; give a join token, x509pop or k8s_psat',
    )
  }

  /** What the server gave earlier, else what the operator gave. */
  async #trust(): Promise<ServerTrust> {
    const { bundles, bootstrap } = this.#options
    const own = bundles.own()
    return own === undefined ? bootstrapTrust(bootstrap, this.#options) : { anchors: own.bundle.x509Authorities }
  }

  #verify(identity: AgentIdentity, { bundle }: ReceivedBundle): void {
    try {
      verifyX509Svid(identity.certificates, new Map([[bundle.trustDomain, bundle]]), nowSeconds(this.#options.clock))
    } catch (error) {
      throw new AgentError(
        'invalid_answer',
        `the server's own bundle does not verify what it issued to this agent: ${reasonOf(error)}`,
      )
    }
  }

  #use(identity: AgentIdentity, receivedAt: number = this.#options.clock.now()): void {
    this.#current = identity
    this.#options.link.use(identity, this.#options.bundles.own()?.bundle.x509Authorities ?? [])
    this.#planRenewal(renewalTime(receivedAt, expiresAt(identity), this.#options.random))
  }

  /** With the bundle as it is now, which alone changes too. */
  #save(identity: AgentIdentity): void {
    const bundle = this.#options.bundles.own()?.bundle
    if (bundle !== undefined) this.#keeper.keep({ identity, bundle })
  }

  /** The bundle changed: the server is judged by the new one, also after a restart. */
  bundleChanged(): void {
    const own = this.#options.bundles.own()
    if (this.#current === undefined || own === undefined) return
    this.#options.link.use(this.#current, own.bundle.x509Authorities)
    this.#save(this.#current)
    // While the server still takes it: when the tainted authority is revoked, nothing can be renewed with it.
    if (isSignedUnder(this.#current.certificates, own.taintedAuthorities)) void this.#alone(() => this.#renewInTime())
  }

  #planRenewal(atMilliseconds: number): void {
    const { clock } = this.#options
    this.#cancelRenewal()
    this.#cancelRenewal = clock.after(atMilliseconds - clock.now(), () => void this.#alone(() => this.#renewInTime()))
  }

  /** One renewal or attestation at a time; who comes second waits for the first. */
  #alone(step: () => Promise<void>): Promise<void> {
    this.#renewing ??= step().finally(() => {
      this.#renewing = undefined
    })
    return this.#renewing
  }

  #renewInTime(): Promise<void> {
    let isToldLost = false
    return tryUntilDone(
      this.#attempts,
      "this agent's own SVID cannot be renewed now",
      () => this.#renew(),
      async (error) => {
        const standing = standingAfter(error)
        if (standing === 'banned') this.#removed(`the server banned this node: ${reasonOf(error)}`)
        else if (standing === 'must_reattest') await this.#attestAgain(error)
        else {
          const distrust = await this.#distrustBehind(error)
          if (distrust !== undefined) {
            await this.#attestAgain(distrust)
            return true
          }
          const isLost = !this.isValid && !this.#canAttestAgain()
          if (isLost && !isToldLost) this.#expired()
          isToldLost ||= isLost
          // Tried on even so: it may be only this machine's clock that is ahead.
          return false
        }
        return true
      },
    )
  }

  async #renew(): Promise<void> {
    const identity = this.#current as AgentIdentity
    if (this.#canAttestAgain() && (identity.reattestable || !this.isValid)) return this.#attest()
    const key = agentKey()
    const { svid } = await this.#options.link.connection().call(AgentService.renewAgent, { params: { csr: key.csr } })
    const { trustDomain, bundles } = this.#options
    const renewed = receivedIdentity(svid, {
      trustDomain,
      ...key,
      reattestable: identity.reattestable,
      id: identity.id,
    })
    const bundle = bundles.own()
    if (bundle !== undefined) this.#verify(renewed, bundle)
    // Stored first: with its first use the server ends the one before, which a crash must not leave on the disk alone.
    this.#save(renewed)
    this.#use(renewed)
    this.#options.log.info(
      { spiffe_id: renewed.id, expires_at: expiresAt(renewed) },
      "this agent's own SVID is renewed",
    )
  }

  #canAttestAgain(): boolean {
    return this.#options.attestor?.reusable === true
  }

  async #distrustBehind(error: unknown): Promise<unknown> {
    const identity = this.#current
    if (grpcCode(error) !== status.UNAVAILABLE || identity === undefined || !this.isValid) return undefined
    return distrustOf(identity, { ...this.#options, trust: await this.#trust(), signal: this.#stop.signal })
  }

  async #attestAgain(reason: unknown): Promise<void> {
    const { log, attestor } = this.#options
    this.#keeper.forget()
    if (!this.#canAttestAgain())
      return this.#removed(
        `the server does not take this node any more (${reasonOf(reason)}), and a ${attestor?.type ?? 'stored identity'} cannot attest it again; start the agent with a new join token`,
      )
    log.warn({ reason: reasonOf(reason) }, 'this node must attest itself again')
    await tryUntilDone(
      this.#attempts,
      'this node could not attest itself again yet',
      () => this.#attest(),
      (error) => {
        const isOver = isFinal(error) || standingAfter(error) === 'banned'
        if (isOver) this.#removed(reasonOf(error))
        return isOver
      },
    )
  }

  #expired(): void {
    this.#options.log.error(
      { spiffe_id: this.#current?.id },
      "this agent's own SVID has expired and a join token attests only once: workloads keep what they have until it expires; start the agent with a new join token",
    )
  }

  #removed(message: string): void {
    this.#keeper.forget()
    this.stop()
    this.#options.onRemoved(new AgentError('node_removed', message))
  }
}

function isFinal(error: unknown): boolean {
  return error instanceof AgentError && (error.code === 'attestation_refused' || error.code === 'invalid_configuration')
}

function asReceived(bundle: Bundle): ReceivedBundle {
  return { bundle, taintedAuthorities: new Set(), taintedKeys: new Set(), fingerprint: 'stored' }
}
