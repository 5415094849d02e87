import { setTimeout } from 'node:timers/promises'
import type { AdminApi } from '../admin-api.ts'
import { CliError } from '../cli-error.ts'
import { readEventStream } from '../event-stream.ts'
import { note } from '../output.ts'
import type { AuditEvent } from '../resources.ts'
import { ServerRefusal } from '../server-answer.ts'

type Query = Record<string, string | undefined>

/** The last `count` events and then each as it happens, every one once, over broken connections too; until aborted. */
export async function* followEvents(
  admin: AdminApi,
  query: Query,
  count: number,
  signal: AbortSignal,
): AsyncGenerator<AuditEvent> {
  let lastId: string | undefined
  let body = await open(admin, query, lastId, signal)
  // The stream is open before the past is read, so that nothing falls in between. What comes twice, there or after a
  // broken connection, is told by its place in its chain.
  const shown = new Map<string, number>()
  if (count > 0) {
    const { items } = await admin.list<AuditEvent>('/audit-events', {
      limit: count,
      query: { ...query, order: 'desc' },
    })
    for (const event of items.toReversed()) {
      shown.set(event.chain, Math.max(event.sequence, shown.get(event.chain) ?? 0))
      yield event
    }
  }
  while (!signal.aborted) {
    try {
      for await (const { id, data } of readEventStream(body)) {
        if (id !== undefined) lastId = id
        const event = parseEvent(data)
        if (event.sequence <= (shown.get(event.chain) ?? 0)) continue
        shown.set(event.chain, event.sequence)
        yield event
      }
    } catch (error) {
      if (error instanceof CliError || signal.aborted) throw error
    }
    if (signal.aborted) return
    body = await reopen(admin, query, lastId, signal)
  }
}

async function open(
  admin: AdminApi,
  query: Query,
  lastId: string | undefined,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const headers = { accept: 'text/event-stream', ...(lastId !== undefined && { 'last-event-id': lastId }) }
  const response = await admin.stream('/audit-events', query, headers, signal)
  if (response.body === null)
    throw new CliError('the server streams no events; is it a Countersign server of this version?')
  return response.body
}

/** A server that restarts is waited for; one that refuses is not. */
async function reopen(admin: AdminApi, query: Query, lastId: string | undefined, signal: AbortSignal) {
  note('The connection ended; connecting again ...')
  for (let pause = 500; ; pause = Math.min(pause * 2, 15_000)) {
    await setTimeout(pause, undefined, { signal })
    try {
      return await open(admin, query, lastId, signal)
    } catch (error) {
      const final = error instanceof ServerRefusal && error.status < 500 && error.status !== 429
      if (final || signal.aborted) throw error
    }
  }
}

function parseEvent(data: string): AuditEvent {
  try {
    return JSON.parse(data)
  } catch {
    throw new CliError(
      'the server streamed something that is no audit event; is it a Countersign server of this version?',
    )
  }
}
