import { createMemorySingleUse } from '@countersign/limits'
import { afterAll, beforeAll, beforeEach } from 'vitest'
import { startSenders, type TestSender, type TestSenders } from './senders.fixture.ts'
import type { ServiceTokenOptions } from './service-token-options.ts'
import { createServiceTokenVerifier } from './service-token-verifier.ts'

/** A call, and the same as its receiver sees it. */
export const call = { method: 'POST', target: '/v1/stock?sku=1', content: '{"n":1}' }
export const received = { transport: 'http', ...call, content: Buffer.from(call.content) } as const
export let senders: TestSenders
/** A sender whose clock is the tests'. */
export let order: TestSender
/** Milliseconds since the epoch, for sender and receiver. */
export let time: number
export const now = () => time

export function setTime(milliseconds: number): void {
  time = milliseconds
}

beforeAll(async () => {
  senders = await startSenders()
})
afterAll(() => senders.stop())
beforeEach(async () => {
  time = Date.now()
  senders.published.clear()
  order = await senders.add('order', { now })
})

/** The receiver. */
export const inventory = (options: Partial<ServiceTokenOptions> = {}) =>
  createServiceTokenVerifier({
    name: 'inventory',
    keys: senders.template,
    uses: createMemorySingleUse({ now, monotonicNow: now }),
    now,
    ...options,
  })

/** The claims, whoever signed them. */
export function decode(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString())
}
