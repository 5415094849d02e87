import { createHmac, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto'

const randomLength = 8
const macLength = 12

/** Serial numbers of X.509-SVIDs, and the `jti` of JWT-SVIDs: by them an agent can end only what was issued to it. */
export interface IssuanceIds {
  /** 20 bytes, as many as RFC 5280 section 4.1.2.2 allows: positive, and without a zero in front */
  make(agentId: string, entryId: string): Buffer
  /** Whether this server made these bytes for that agent and entry; nothing was stored to know it */
  belongsTo(bytes: Uint8Array, agentId: string, entryId: string): boolean
}

/** @param masterKey the same on every replica, so that each knows what the others have made */
export function issuanceId({ issuanceKey }: { issuanceKey: KeyObject }): IssuanceIds {
  const mac = (random: Uint8Array, agentId: string, entryId: string) =>
    createHmac('sha256', issuanceKey)
      .update(random)
      .update(JSON.stringify([agentId, entryId]))
      .digest()
      .subarray(0, macLength)
  return {
    make(agentId, entryId) {
      const random = randomBytes(randomLength)
      // The sign bit off, the next one on: always the same length in DER, and never a negative number.
      random[0] = ((random[0] as number) & 0x3f) | 0x40
      return Buffer.concat([random, mac(random, agentId, entryId)])
    },
    belongsTo(bytes, agentId, entryId) {
      if (bytes.length !== randomLength + macLength) return false
      const random = bytes.subarray(0, randomLength)
      return timingSafeEqual(bytes.subarray(randomLength), mac(random, agentId, entryId))
    },
  }
}
