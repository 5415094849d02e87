import { createPublicKey } from 'node:crypto'
import { z } from 'zod'
import { type AdminApp, type AdminContext, needs } from '../admin/admin-app.ts'
import { actorOf } from '../admin/administrator.ts'
import { exactly } from '../admin/fields.ts'
import { decodeCursor, paged, pageOf, pageQuery } from '../admin/paging.ts'
import { Problem } from '../http/problem.ts'
import type { AuditFact } from './event.ts'
import { auditEvent, auditHead, eventFilter, type ReportedEvent, report } from './event-resource.ts'
import { type EventPlace, placeOf, readEvents, viewEvent } from './read-events.ts'
import { EventStreams } from './stream-events.ts'

const tags = ['Audit events']

const listQuery = exactly({ ...pageQuery, ...eventFilter, order: z.enum(['asc', 'desc']).default('desc') })

export function auditRoutes(app: AdminApp, { authority }: AdminContext): void {
  const streams = new EventStreams(authority)
  app.addHook('preClose', async () => streams.stop())

  app.get(
    '/audit-events',
    {
      config: needs('audit:read'),
      schema: {
        tags,
        summary: 'List audit events, or stream them',
        description:
          'In the order of time; with `chain` in the order of that chain. ' +
          'With `Accept: text/event-stream` it streams what happens from now on, from `since`, or from where ' +
          'Last-Event-ID or `cursor` ended. Going on may repeat events of the last ten seconds: tell them by chain and sequence.',
        querystring: listQuery,
        response: { 200: pageOf(auditEvent) },
      },
    },
    async (request, reply) => {
      const { query } = request
      const { type, client_id, outcome, chain, cursor, limit, order } = query
      const filter = { type, client_id, outcome, chain }
      const since = toMilliseconds(query.since)
      if (/\btext\/event-stream\b/i.test(request.headers.accept ?? '')) {
        if (streams.isFull) throw new Problem(503, 'too_many_streams', 'too many streams are open: try again later')
        const last = request.headers['last-event-id'] ?? cursor
        const from = typeof last === 'string' && last !== '' ? placeAt(last) : since
        reply.hijack()
        const isStillAdmitted = () => request.isStillAdmitted()
        await streams.serve(reply.raw, { filter, from, isStillAdmitted }).catch((error: unknown) => {
          request.log.error({ err: error }, 'an audit stream failed')
        })
        return reply
      }
      const rows = await readEvents(authority.store, {
        ...filter,
        since,
        until: toMilliseconds(query.until),
        order,
        after: cursor === undefined ? undefined : placeAt(cursor),
        limit: limit + 1,
      })
      return paged(rows, query, placeOf, (row) => ({ ...viewEvent(row) }))
    },
  )

  app.get(
    '/audit-events/heads',
    {
      config: needs('audit:read'),
      schema: {
        tags,
        summary: 'Signed ends of the chains',
        description: 'What is kept outside and still verifies proves that a chain reached at least so far.',
        response: { 200: pageOf(auditHead).extend({ public_jwk: z.record(z.string(), z.string()) }) },
      },
    },
    async () => {
      const items = await authority.store.database.selectFrom('audit_heads').selectAll().orderBy('chain').execute()
      return { items, next: null, public_jwk: auditKey(authority.masterKey.auditKey) }
    },
  )

  app.post(
    '/audit-events',
    {
      config: needs('audit:write'),
      schema: {
        tags,
        summary: 'Report what a guard refused',
        description: 'One event, or up to 100 as `events`. `detail.reported_by` names who reported.',
        body: report,
        response: { 201: z.object({ recorded: z.int() }) },
      },
    },
    async ({ body, administrator }, reply) => {
      const events = 'events' in body ? body.events : [body]
      const reporter = actorOf(administrator)
      await Promise.all(events.map((event) => authority.audit.record(reported(event, reporter))))
      return reply.code(201).send({ recorded: events.length })
    },
  )
}

function reported(event: ReportedEvent, reporter: ReturnType<typeof actorOf>): AuditFact {
  const known = Object.fromEntries(Object.entries(event).filter(([, value]) => value !== undefined))
  return {
    ...(known as unknown as AuditFact),
    detail: {
      reported_by: reporter.client_id ?? '',
      reported_from: reporter.address ?? '',
      reporter_credential: reporter.credential ?? '',
    },
  }
}

function placeAt(cursor: string): EventPlace {
  const place = decodeCursor(cursor.slice(0, 1024), ['string', 'string', 'number'])
  return place as unknown as EventPlace
}

/** Times are compared as text, so they have to be written alike. */
function toMilliseconds(time: string | undefined): string | undefined {
  return time === undefined ? undefined : new Date(time).toISOString()
}

function auditKey(key: AdminContext['authority']['masterKey']['auditKey']): Record<string, string> {
  const { kty, crv, x } = createPublicKey(key).export({ format: 'jwk' })
  return { kty: kty as string, crv: crv as string, x: x as string, use: 'sig', alg: 'EdDSA' }
}
