import type { KeyObject } from 'node:crypto'
import { type ChainVerdict, verifyChains } from '@countersign/server'
import type { AdminApi } from '../admin-api.ts'
import { wrongUse } from '../cli-error.ts'
import type { AuditEvent, AuditHead } from '../resources.ts'
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
  const current = await admin.get<{ items: AuditHead[]; public_jwk: object }>('/audit-events/heads')
  const publicKey = files.key === undefined ? (noted.publicJwk ?? current.public_jwk) : await readPublicKey(files.key)
  const verdict = await verifyChains({
    events: liveEvents(admin, [...current.items, ...noted.heads], onEvent),
    heads: current.items,
    notedHeads: noted.heads,
    publicKey: publicKey as KeyObject,
    allowNewer: true,
  })
  return { ...verdict, caveats: [] }
}

/** Every chain in its order; last those that no head speaks of, which there should be none of. */
async function* liveEvents(
  admin: AdminApi,
  heads: readonly AuditHead[],
  onEvent: () => void,
): AsyncGenerator<AuditEvent> {
  const chains = new Set(heads.map(({ chain }) => chain))
  for (const chain of chains) {
    for await (const event of admin.each<AuditEvent>('/audit-events', { query: { chain, order: 'asc' } })) {
      onEvent()
      yield event
    }
  }
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
