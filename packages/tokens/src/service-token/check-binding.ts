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
    if (signed[name] !== received[name]) {
      throw new TokenError('binding_mismatch', differs(name, signed[name], received[name]), name)
    }
  }
  if (Object.keys(req).length === members[binding.transport].length) return
  throw new TokenError(
    'binding_mismatch',
    `the token is bound to more than a call over ${binding.transport} has`,
    'req',
  )
}

function differs(name: string, signed: unknown, received: unknown): string {
  if (name === 'digest') return 'the token is for another content than came with it'
  if (name === 'key') return 'the token is for another key than the record has'
  if (signed === undefined) return `the token is not for a call with a ${name}`
  if (name !== 'target') return `the token is for the ${name} ${quoted(signed)}, the call has ${quoted(received)}`
  const [signedPath, receivedPath] = [signed, received].map(pathOf)
  // What stands in a query may be a secret, or somebody's name.
  if (signedPath === receivedPath) return `the token is for another query of ${quoted(receivedPath)}`
  return `the token is for the path ${quoted(signedPath)}, the call has ${quoted(receivedPath)}; is a proxy rewriting it?`
}

function pathOf(target: unknown): unknown {
  return typeof target === 'string' ? target.split('?', 1)[0] : target
}
