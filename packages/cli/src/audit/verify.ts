import type { KeyObject } from 'node:crypto'
import { type BrokenPlace, type ChainVerdict, verifyChains } from '@countersign/server'
import type { AdminApi } from '../admin-api.ts'
import { wrongUse } from '../cli-error.ts'
import type { AuditEvent, AuditHead } from '../resources.ts'
import { inChainOrder } from './chain-order.ts'
import { readEvents, readHeads, readPublicKey } from './evidence-files.ts'

export interface VerifyFiles {
  /** Heads noted earlier */
  head?: string
  /** The public audit key; default: as noted with the heads, or as the server shows it */
  key?: string
}

export interface Verification extends ChainVerdict {
  /** What could not be shown, a sentence each */
  caveats: string[]
}

/** Checks an exported file, without any server. */
export async function verifyFile(file: string, files: VerifyFiles): Promise<Verification> {
  const noted = files.head === undefined ? { heads: [] } : await readHeads(files.head)
  const publicKey = files.key === undefined ? noted.publicJwk : await readPublicKey(files.key)
  if (publicKey === undefined && noted.heads.length > 0)
    throw wrongUse(`${files.head} holds no public key; give the audit key with --key FILE`)
  const verdict = await verifyChains({
    events: readEvents(file),
    heads: [],
    notedHeads: noted.heads,
    publicKey: (publicKey ?? placeholder) as KeyObject,
    allowNewer: true,
  })
  // An export holds no heads of its own; how far the noted ones reach is told instead.
  const broken = verdict.broken.filter(({ problem }) => problem !== 'head_missing')
  return { ...verdict, broken, caveats: caveatsOf(verdict, broken, noted.heads) }
}

/** Checks what the server holds, against its signed heads and those noted earlier. */
export async function verifyLive(admin: AdminApi, files: VerifyFiles, onEvent: () => void): Promise<Verification> {
  const noted = files.head === undefined ? { heads: [] } : await readHeads(files.head)
  const before = await readLiveHeads(admin)
  const publicKey = files.key === undefined ? (noted.publicJwk ?? before.public_jwk) : await readPublicKey(files.key)
  const reach = new Map(before.items.map(({ chain, sequence }) => [chain, sequence]))
  const found = new Map<string, number>()

  /** What the server writes meanwhile is no part of this check, but has to be covered by the heads of afterwards. */
  async function* settledEvents() {
    for await (const event of admin.each<AuditEvent>('/audit-events', { query: { order: 'asc' } })) {
      onEvent()
      found.set(event.chain, Math.max(found.get(event.chain) ?? 0, event.sequence))
      if (event.sequence <= (reach.get(event.chain) ?? 0)) yield event
    }
  }

  const verdict = await verifyChains({
    events: inChainOrder(settledEvents()),
    heads: before.items,
    notedHeads: noted.heads,
    publicKey: publicKey as KeyObject,
  })
  const uncovered = [...found].filter(([chain, sequence]) => sequence > (reach.get(chain) ?? 0))
  const after = uncovered.length === 0 ? before : await readLiveHeads(admin)
  const broken = [
    ...verdict.broken,
    ...uncovered.flatMap(([chain, sequence]) => beyondHead(chain, sequence, after.items)),
  ]
  return { ...verdict, broken, caveats: [] }
}

function readLiveHeads(admin: AdminApi): Promise<{ items: AuditHead[]; public_jwk: object }> {
  return admin.get('/audit-events/heads')
}

/** The server signs a head with every commit: events beyond it were added by someone else. */
function beyondHead(chain: string, sequence: number, heads: readonly AuditHead[]): BrokenPlace[] {
  const head = heads.find((candidate) => candidate.chain === chain)
  if (head === undefined) {
    const message = `chain "${chain}": it has ${sequence} events and no signed head`
    return [{ chain, sequence, problem: 'head_missing', message }]
  }
  if (head.sequence >= sequence) return []
  const message = `chain "${chain}": the signed head is at ${head.sequence}, but events follow up to ${sequence}`
  return [{ chain, sequence: head.sequence + 1, problem: 'beyond_head', message }]
}

function caveatsOf({ chains }: ChainVerdict, broken: ChainVerdict['broken'], heads: readonly AuditHead[]): string[] {
  const whole = chains.filter(({ chain }) => !broken.some((place) => place.chain === chain))
  return whole.flatMap(({ chain, sequence }) => {
    const reach = Math.max(0, ...heads.filter((head) => head.chain === chain).map((head) => head.sequence))
    if (reach >= sequence) return []
    const from = reach === 0 ? 'no signed head was given for it' : `the signed head given for it ends at ${reach}`
    return [
      `chain "${chain}" is consistent up to ${sequence}, but ${from}: events after ${reach} could have been cut or rewritten whole`,
    ]
  })
}

/** Without heads there is no signature to check; any key will do. */
const placeholder = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }
