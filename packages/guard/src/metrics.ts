import { Counter, type Registry } from 'prom-client'
import type { ServiceTokenValidation } from './service-token/validation.ts'

/**
 * Counts validations in `countersign_service_token_validations_total{sender,transport,outcome,reason}`; give the result
 * to a verifier as `onValidation`. Only proven senders become labels: `sender` is `unproven` for everybody else, so that
 * nobody can make the registry grow. Two verifiers may share a registry.
 */
export function countServiceTokens(registry: Registry): (event: ServiceTokenValidation) => void {
  const counter = counterIn(registry)
  const senders = new Set<string>()

  function labelOf(sender: string | undefined): string {
    if (sender === undefined) return 'unproven'
    if (senders.has(sender)) return sender
    if (senders.size >= mostSenders) return 'other'
    senders.add(sender)
    return sender
  }

  return ({ sender, transport, outcome, reason = '' }) => {
    counter.inc({ sender: labelOf(sender), transport, outcome, reason })
  }
}

const name = 'countersign_service_token_validations_total'
const mostSenders = 1_000

type ValidationCounter = Counter<'sender' | 'transport' | 'outcome' | 'reason'>

function counterIn(registry: Registry): ValidationCounter {
  const known = registry.getSingleMetric(name) as ValidationCounter | undefined
  if (known !== undefined) return known
  return new Counter({
    name,
    help: 'Service tokens that were checked, by proven sender and by what was at fault',
    labelNames: ['sender', 'transport', 'outcome', 'reason'],
    registers: [registry],
  })
}
