import { readFileSync } from 'node:fs'
import type { PublicJwk } from '@countersign/tokens'

/** The same calls for every implementation; vectors/README.md describes the members. */
export interface ServiceTokenVectors {
  description: string
  receiver: {
    now: number
    leewaySeconds: number
    maximumLifetimeSeconds: number
    audiences: string[]
    md5PublicBase: string
  }
  /** The key sets by the short names of the services */
  services: Record<string, { keys: PublicJwk[] }>
  vectors: ServiceTokenVector[]
}

export interface ServiceTokenVector {
  name: string
  token: string
  call: ReceivedCall
  /** Whether the receiver has opted in to the compatibility profile */
  acceptsMd5?: boolean
  accept: boolean
  reason?: string
}

/** A call as it arrived; bytes in base64. */
export type ReceivedCall = HttpCall | GrpcCall | KafkaCall

export interface HttpCall {
  transport: 'http'
  method: string
  target: string
  content: string
}

export interface GrpcCall {
  transport: 'grpc'
  method: string
  message: string | null
}

export interface KafkaCall {
  transport: 'kafka'
  carrier: 'header' | 'payload'
  topic: string
  partition: number
  offset: string
  key: string | null
  value: string | null
}

export function readServiceTokenVectors(): ServiceTokenVectors {
  return JSON.parse(readFileSync(new URL('service-tokens.json', import.meta.url), 'utf8'))
}
