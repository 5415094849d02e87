import { parseJson } from '@countersign/tokens'
import { z } from 'zod'
import { AttestationError } from '../node-attestor.ts'

const largestAttestation = 1024 * 1024

/** What an agent sent, read strictly. @throws AttestationError `invalid`, which repeats nothing of it */
export function readAttestation<T extends z.ZodType>(bytes: Buffer, schema: T): z.output<T> {
  const json = parsed(bytes)
  const result = schema.safeParse(json)
  if (result.success) return result.data
  const [issue] = result.error.issues
  const path = issue?.path.join('.') ?? ''
  throw new AttestationError('invalid', `the attestation data is not valid${path === '' ? '' : ` at ${path}`}`)
}

/** Bytes as Go's JSON writes them: base64 with padding, in its one canonical form. */
export function base64(mostBytes: number) {
  return z
    .string()
    .max(Math.ceil(mostBytes / 3) * 4)
    .refine((text) => Buffer.from(text, 'base64').toString('base64') === text)
    .transform((text) => Buffer.from(text, 'base64'))
}

function parsed(bytes: Buffer): unknown {
  try {
    return parseJson(bytes, { maximumBytes: largestAttestation, maximumDepth: 4 })
  } catch {
    throw new AttestationError('invalid', 'the attestation data is not JSON')
  }
}
