import type { ServiceTokenValidation } from '@countersign/guard'
import { countServiceTokens } from '@countersign/guard/metrics'
import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client'
import type { ServiceLogger } from './service-context.ts'
import type { FinishedCall } from './transport.ts'

export interface ServiceMetrics {
  readonly registry: Registry
  onValidation(event: ServiceTokenValidation): void
  /** Counts a call that is over, and logs it. */
  onCall(log: ServiceLogger): (call: FinishedCall) => void
}

/** What an operator watches of a service; who was refused and why is counted beside it, by the guard. */
export function createServiceMetrics(): ServiceMetrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const labelNames = ['operation', 'transport'] as const
  const calls = new Counter({
    name: 'countersign_service_calls_total',
    help: 'Calls of operations by the status of their answer',
    labelNames: [...labelNames, 'status'],
    registers: [registry],
  })
  const seconds = new Histogram({
    name: 'countersign_service_call_seconds',
    help: 'How long calls took, from the headers of the request to the answer',
    labelNames,
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
    registers: [registry],
  })
  return {
    registry,
    onValidation: countServiceTokens(registry),
    onCall: (log) => (call) => {
      const { operation, transport, admission, status, reason, milliseconds } = call
      calls.inc({ operation: operation.name, transport, status })
      seconds.observe({ operation: operation.name, transport }, milliseconds / 1000)
      const caller = admission?.caller?.clientId
      const took = Math.round(milliseconds)
      const details = { operation: operation.name, transport, status, reason, caller, milliseconds: took }
      if (status >= 400) log.info(details, 'a call was refused or failed')
      else log.debug(details, 'a call was answered')
    },
  }
}
