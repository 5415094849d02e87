import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { isOwnType } from '../audit/own-types.ts'
import type { Authority } from '../authority.ts'
import { Problem } from './problem.ts'

export interface Metrics {
  registry: Registry
  /** @param outcome what was done (`issued`), or the OAuth error */
  oauthOutcome(endpoint: string, outcome: string): void
}

/** What an operator watches: outcomes, durations, audit commits, and the age of the signing keys. */
export function createMetrics(authority: Authority): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const oauth = new Counter({
    name: 'countersign_oauth_requests_total',
    help: 'Answers of the OAuth endpoints by outcome',
    labelNames: ['endpoint', 'outcome'],
    registers,
  })
  const auditEvents = new Counter({
    name: 'countersign_audit_events_total',
    help: 'Audit events made durable, by type and outcome',
    labelNames: ['type', 'outcome'],
    registers,
  })
  const auditCommit = new Histogram({
    name: 'countersign_audit_commit_events',
    help: 'How many audit events shared one commit',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
    registers,
  })
  new Gauge({
    name: 'countersign_revocations',
    help: 'Revocations that this replica holds in memory',
    registers,
    collect() {
      this.set(authority.revocations.size)
    },
  })
  new Gauge({
    name: 'countersign_signing_keys',
    help: 'Published signing keys by algorithm and status',
    labelNames: ['algorithm', 'status'],
    registers,
    collect() {
      this.reset()
      for (const { algorithm, status } of authority.keyRing.published) this.inc({ algorithm, status })
    },
  })
  const { workloadIdentity } = authority
  if (workloadIdentity) {
    new Gauge({
      name: 'countersign_certificate_authority_expiry_seconds',
      help: 'When the authority that signs now expires, in seconds since the epoch; none where nothing can be signed',
      labelNames: ['kind'],
      registers,
      collect() {
        this.reset()
        for (const [kind, expiresAt] of Object.entries(workloadIdentity.ca.signsUntil())) this.set({ kind }, expiresAt)
      },
    })
  }
  authority.audit.onCommitted((events) => {
    auditCommit.observe(events.length)
    for (const [key, count] of countBy(events, ({ type, outcome }) => `${labelOf(type)} ${outcome}`)) {
      const [type = '', outcome = ''] = key.split(' ')
      auditEvents.inc({ type, outcome }, count)
    }
  })
  return { registry, oauthOutcome: (endpoint, outcome) => oauth.inc({ endpoint, outcome }) }
}

/** Whoever may report events chooses their types: as labels they would grow without bound. */
function labelOf(type: string): string {
  return isOwnType(type) ? type : 'reported'
}

function countBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, number> {
  const counts = new Map<string, number>()
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1)
  return counts
}

/** `GET /metrics`; with a token only for who bears it. */
export function metricsRoute(app: FastifyInstance, { registry }: Metrics, token?: string): void {
  app.get('/metrics', async (request, reply) => {
    if (token !== undefined && !isBearer(request.headers.authorization, token)) {
      reply.header('www-authenticate', 'Bearer realm="metrics"')
      throw new Problem(401, 'unauthorized', 'metrics need the Bearer token of the setting metrics.token')
    }
    return reply.type(registry.contentType).send(await registry.metrics())
  })
}

function isBearer(authorization: string | undefined, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(authorization ?? ''), digest(`Bearer ${token}`))
}
