import { quoted, TokenError } from '../token-error.ts'
import type { CallBinding } from './call-binding.ts'

/** The members of `req`, in the order in which they are compared. */
const members = {
  http: ['method', 'target', 'digest'],
  grpc: ['method', 'digest'],
  kafka: ['topic', 'key', 'digest'],
} as const

/** Throws `binding_mismatch`, its part the first member in which `req` differs from the call, or `req` for any more. */
export function checkBinding(req: object, binding: CallBinding): void {
  const signed = req as Record<string, unknown>
  const received = binding as unknown as Record<string, string | null>
  for (const name of members[binding.transport]) {
    if (!Object.hasOwn(signed, name) || signed[name] !== received[name]) {
      const message = `the token is for the ${name} ${quoted(signed[name])}, the call has ${quoted(received[name])}`
      throw new TokenError('binding_mismatch', message, name)
    }
  }
  if (Object.keys(req).length === members[binding.transport].length) return
  throw new TokenError(
    'binding_mismatch',
    `the token is bound to more than a call over ${binding.transport} has`,
    'req',
  )
}
