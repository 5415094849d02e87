import { createHmac, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto'

// Laid out: one random byte, the expiry, more of the random, the code over all of that and for whom it is.
const expiryAt = 1
const macAt = 9
const length = 20

/** Serial numbers of X.509-SVIDs, and the `jti` of JWT-SVIDs: by them an agent can end only what was issued to it. */
export interface IssuanceIds {
  /**
   * 20 bytes, as many as RFC 5280 section 4.1.2.2 allows: positive, and without a zero in front.
   * @param expiresAt seconds since the epoch: when the SVID is dead in any case
   */
  make(agentId: string, entryId: string, expiresAt: number): Buffer
  /** What `expiresAt` was, if this server made these bytes for that agent and entry; nothing was stored to know it */
  expiryOf(bytes: Uint8Array, agentId: string, entryId: string): number | undefined
  belongsTo(bytes: Uint8Array, agentId: string, entryId: string): boolean
}

/** @param masterKey the same on every replica, so that each knows what the others have made */
export function issuanceId({ issuanceKey }: { issuanceKey: KeyObject }): IssuanceIds {
  const code = (start: Uint8Array, agentId: string, entryId: string) =>
    createHmac('sha256', issuanceKey)
      .update(start)
      .update(JSON.stringify([agentId, entryId]))
      .digest()
      .subarray(0, length - macAt)
  const expiryOf: IssuanceIds['expiryOf'] = (bytes, agentId, entryId) => {
    if (bytes.length !== length) return undefined
    const start = Buffer.from(bytes.subarray(0, macAt))
    const isOurs = timingSafeEqual(bytes.subarray(macAt), code(start, agentId, entryId))
    return isOurs ? start.readUInt32BE(expiryAt) : undefined
  }
  return {
    make(agentId, entryId, expiresAt) {
      const start = randomBytes(macAt)
      // The sign bit off, the next one on: always the same length in DER, and never a negative number.
      start[0] = ((start[0] as number) & 0x3f) | 0x40
      start.writeUInt32BE(Math.min(expiresAt, 0xffff_ffff), expiryAt)
      return Buffer.concat([start, code(start, agentId, entryId)])
    },
    expiryOf,
    belongsTo: (bytes, agentId, entryId) => expiryOf(bytes, agentId, entryId) !== undefined,
  }
}
