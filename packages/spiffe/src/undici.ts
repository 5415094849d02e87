import { Agent, Dispatcher, fetch as undiciFetch } from 'undici'
import { SpiffeError } from './spiffe-error.ts'
import type { PeerAuthorizer } from './tls/peer-authorizer.ts'
import { secureConnect } from './tls/secure-connect.ts'
import type { TlsSource } from './tls/tls-source.ts'

/**
 * A dispatcher for undici's `fetch` and `request`. Each new connection has the newest identity; after a rotation no
 * request goes over an older one, and requests under way end in peace. Only https.
 *
 * @param options as of undici's `Agent`
 */
export function undiciDispatcher(
  source: TlsSource,
  authorize: PeerAuthorizer,
  options: Omit<Agent.Options, 'connect' | 'factory'> = {},
): Dispatcher {
  return new SpiffeDispatcher(source, authorize, options)
}

/** A `fetch` of one's own identity, to servers that `authorize` lets through. `close` ends its connections. */
export function createSpiffeFetch(
  source: TlsSource,
  authorize: PeerAuthorizer,
): typeof undiciFetch & { close(): Promise<void> } {
  const dispatcher = undiciDispatcher(source, authorize)
  const spiffeFetch: typeof undiciFetch = (input, init) => undiciFetch(input, { ...init, dispatcher })
  return Object.assign(spiffeFetch, { close: () => dispatcher.close() })
}

class SpiffeDispatcher extends Dispatcher {
  readonly #source: TlsSource
  readonly #open: () => Agent
  readonly #forget: () => void
  #current: Agent
  readonly #retired = new Set<Agent>()
  #timer: NodeJS.Timeout | undefined

  constructor(source: TlsSource, authorize: PeerAuthorizer, options: Agent.Options) {
    super()
    const ALPNProtocols = options.allowH2 ? ['h2', 'http/1.1'] : ['http/1.1']
    this.#open = () =>
      new Agent({
        ...options,
        connect({ hostname, port, protocol, servername }, callback) {
          if (protocol !== 'https:') return callback(new SpiffeError('invalid_configuration', notHttps), null)
          const host = hostname.replace(/^\[|\]$/g, '')
          const to = { host, port: Number(port || 443), servername }
          secureConnect(source, authorize, { ...to, ALPNProtocols }).then(
            (socket) => callback(null, socket),
            (error: SpiffeError) => callback(error, null),
          )
        },
      })
    this.#source = source
    this.#current = this.#open()
    this.#forget = source.onUpdate(() => this.#renew())
    this.#renewInTime()
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    return this.#current.dispatch(options as Agent.DispatchOptions, handler)
  }

  override close(callback?: () => void): Promise<void> {
    const closed = Promise.all(this.#end().map((agent) => agent.close())).then(() => {})
    if (callback) closed.then(callback)
    return closed
  }

  override destroy(...args: unknown[]): Promise<void> {
    const error = args.find((one) => one instanceof Error) ?? null
    const callback = args.find((one) => typeof one === 'function') as (() => void) | undefined
    const gone = Promise.all(this.#end().map((agent) => agent.destroy(error))).then(() => {})
    if (callback) gone.then(callback)
    return gone
  }

  /** What is under way over the old connections ends there. */
  #renew(): void {
    const old = this.#current
    this.#current = this.#open()
    this.#retired.add(old)
    old.close().finally(() => this.#retired.delete(old))
    this.#renewInTime()
  }

  /**
   * Without a rotation too, connections are given up before a server drains them (at three quarters of the
   * certificate's time): undici fails what is under way when it gets an HTTP/2 GOAWAY.
   */
  #renewInTime(): void {
    clearTimeout(this.#timer)
    const milliseconds = timeLeft(this.#source) * 0.6
    if (milliseconds > 500) this.#timer = setTimeout(() => this.#renew(), Math.min(milliseconds, 2 ** 31 - 1)).unref()
  }

  #end(): Agent[] {
    clearTimeout(this.#timer)
    this.#forget()
    return [this.#current, ...this.#retired]
  }
}

/** Milliseconds until one's own certificate ends; 0 when there is none. */
function timeLeft(source: TlsSource): number {
  try {
    return Math.max(0, source.svid().expiresAt * 1000 - Date.now())
  } catch {
    return 0
  }
}

const notHttps = 'this dispatcher only speaks https: over anything else nobody would know who is calling'
