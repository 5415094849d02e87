import { hash } from 'node:crypto'
import type { PublicJwk } from '@countersign/tokens'
import type { FastifyReply, FastifyRequest } from 'fastify'

/** A JWK set (RFC 7517 section 5) as it is sent. */
export interface KeySet {
  text: string
  etag: string
  /** Default 300 */
  maximumAgeSeconds?: number
}

export function createKeySet(keys: readonly PublicJwk[]): KeySet {
  const text = JSON.stringify({ keys })
  return { text, etag: `"${hash('sha256', text).slice(0, 32)}"` }
}

/** Verifiers ask again and again for what seldom changes. */
export function sendKeySet(request: FastifyRequest, reply: FastifyReply, set: KeySet): FastifyReply {
  const { text, etag, maximumAgeSeconds = 300 } = set
  reply.header('cache-control', `public, max-age=${maximumAgeSeconds}`).header('etag', etag)
  if (isKnown(request.headers['if-none-match'], etag)) return reply.code(304).send()
  return reply.type('application/json').send(text)
}

/** RFC 9110 section 13.1.2: a list, compared weakly, as caches that compress on their way mark tags as weak. */
function isKnown(header: string | undefined, etag: string): boolean {
  return header?.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag || tag.trim() === '*') ?? false
}
