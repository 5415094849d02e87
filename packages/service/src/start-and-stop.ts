import { describeError } from './log/describe-error.ts'
import type { ServiceLogger } from './service-context.ts'
import { ServiceError } from './service-error.ts'
import { stopOnSignal } from './stop-on-signal.ts'
import type { Transport } from './transport.ts'

/** Something that transports and actions work with, and that outlives them. */
interface Resource {
  open?(): Promise<void>
  /** Rejects with a sentence while it cannot do its work. */
  ready?(): Promise<void>
  close?(): void | Promise<void>
}

export interface LifetimeOptions {
  readonly log: ServiceLogger
  /** What is in the way of a start; nothing is opened then. */
  checks(): readonly string[]
  /** What an operator should know, though the service starts. */
  notices(): readonly string[]
  readonly resources: readonly Resource[]
}

export interface Lifetime {
  /** Started after those that came before, stopped together with them. */
  use(transport: Transport): void
  start(): Promise<void>
  stop(): Promise<void>
  ready(): Promise<void>
}

/** A service starts once and stops once; what was opened before something failed is closed again. */
export function startAndStop({ log, checks, notices, resources }: LifetimeOptions): Lifetime {
  const transports: Transport[] = []
  let state: 'new' | 'starting' | 'running' | 'stopping' = 'new'
  let starting: Promise<void> | undefined
  let stopping: Promise<void> | undefined
  let unlisten: (() => void) | undefined

  return {
    use: (transport) => void transports.push(transport),
    start() {
      if (state === 'stopping')
        return Promise.reject(new ServiceError('cannot_start', 'the service was stopped; make a new one'))
      starting ??= start()
      return starting
    },
    stop,
    async ready() {
      if (state !== 'running') throw new Error(`the service is ${state === 'stopping' ? 'shutting down' : 'starting'}`)
      for (const part of [...resources, ...transports]) await part.ready?.()
    },
  }

  async function start(): Promise<void> {
    state = 'starting'
    try {
      const faults = [...new Set(checks())]
      if (faults.length > 0) throw new ServiceError('cannot_start', `the service cannot start: ${listed(faults)}`)
      for (const notice of notices()) log.warn({}, notice)
      for (const resource of resources) await resource.open?.()
      for (const transport of transports) await transport.start()
    } catch (error) {
      await release()
      throw error
    }
    state = 'running'
    unlisten = stopOnSignal(stop)
    log.info({}, 'service started')
  }

  function stop(): Promise<void> {
    stopping ??= stopOnce()
    return stopping
  }

  async function stopOnce(): Promise<void> {
    await starting?.catch(() => {})
    await release()
    unlisten?.()
    log.info({}, 'service stopped')
  }

  async function release(): Promise<void> {
    if (state === 'stopping') return
    state = 'stopping'
    const ended = await Promise.allSettled(transports.map((transport) => transport.stop()))
    for (const end of ended)
      if (end.status === 'rejected') log.error({ err: describeError(end.reason) }, 'a transport did not stop in order')
    for (const resource of resources.toReversed()) await resource.close?.()
  }
}

/** As the faults of a document: each on a line of its own. */
function listed(faults: readonly string[]): string {
  return faults.length === 1 ? faults[0]! : faults.map((fault) => `\n- ${fault}`).join('')
}
