import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { type Certificate, createCertificateRequest, parseCertificate } from '@countersign/spiffe'
import { type BatchNewX509SVIDResponse_Result, SVIDService } from '@countersign/spiffe/protocol/spire-svid'
import { status } from '@grpc/grpc-js'
import type { AuthorizedEntry } from '../entries/authorized-entry.ts'
import { grpcCode } from '../server-connection/call-failure.ts'
import type { ServerConnection } from '../server-connection/server-connection.ts'

/** A workload's certificate and its key, which exists nowhere but in this process and the workload's. */
export interface IssuedX509Svid {
  readonly entry: AuthorizedEntry
  /** Leaf first, the root left out. */
  readonly certificates: readonly Certificate[]
  readonly privateKey: KeyObject
  readonly serialNumber: string
  /** Seconds since the epoch. */
  readonly expiresAt: number
}

export type IssuanceResult =
  | { entry: AuthorizedEntry; svid: IssuedX509Svid }
  | { entry: AuthorizedEntry; problem: string }

const largestBatch = 200
/** So many keys are made before others get their turn. */
const madeAtOnce = 16

/**
 * Makes a key for each entry and has the server certify them, many in a call.
 * @param onIssued gets a result for each entry, call by call
 * @throws what a call failed with; the results of those before it were told
 */
export async function issueX509Svids(
  connection: ServerConnection,
  entries: readonly AuthorizedEntry[],
  onIssued: (results: readonly IssuanceResult[]) => void,
): Promise<void> {
  let batchSize = largestBatch
  for (let at = 0; at < entries.length; ) {
    const batch = entries.slice(at, at + batchSize)
    try {
      onIssued(await issueBatch(connection, batch))
      at += batch.length
    } catch (error) {
      if (grpcCode(error) !== status.RESOURCE_EXHAUSTED || batchSize === 1) throw error
      batchSize = Math.ceil(batchSize / 2)
    }
  }
}

async function issueBatch(
  connection: ServerConnection,
  entries: readonly AuthorizedEntry[],
): Promise<readonly IssuanceResult[]> {
  const requests: KeyRequest[] = []
  for (const entry of entries) {
    requests.push(newRequest(entry))
    if (requests.length % madeAtOnce === 0) await turn()
  }
  const params = requests.map(({ entry, csr }) => ({ entryId: entry.id, csr }))
  const { results } = await connection.call(SVIDService.batchNewX509Svid, { params })
  return requests.map((request, index) => readResult(request, results[index]))
}

interface KeyRequest {
  readonly entry: AuthorizedEntry
  readonly privateKey: KeyObject
  readonly publicKeyDer: Buffer
  readonly csr: Buffer
}

/**
 * Not on a thread of its own: the key takes less time than the way there, and what threads allocate for each other to
 * free is memory that the process never gives back.
 */
function newRequest(entry: AuthorizedEntry): KeyRequest {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const csr = createCertificateRequest({ key: privateKey, uris: [entry.spiffeId] })
  return { entry, privateKey, publicKeyDer: publicKey.export({ type: 'spki', format: 'der' }), csr }
}

function readResult(request: KeyRequest, result: BatchNewX509SVIDResponse_Result | undefined): IssuanceResult {
  const { entry, privateKey } = request
  const problem = (text: string) => ({ entry, problem: text })
  if (result === undefined) return problem('the server left out its answer')
  if ((result.status?.code ?? status.OK) !== status.OK)
    return problem(result.status?.message || `code ${result.status?.code}`)
  try {
    const certificates = (result.svid?.certChain ?? []).map((der) => parseCertificate(der))
    const [leaf] = certificates
    if (leaf === undefined) return problem('the server sent no certificate')
    if (!leaf.publicKeyDer.equals(request.publicKeyDer)) return problem('the server certified another key')
    if (leaf.uris.length !== 1 || leaf.uris[0] !== entry.spiffeId) return problem('the server certified another ID')
    const { serialNumber, notAfter: expiresAt } = leaf
    return { entry, svid: { entry, certificates, privateKey, serialNumber, expiresAt } }
  } catch (error) {
    return problem((error as Error).message)
  }
}
