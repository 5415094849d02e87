import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import type { MasterKey } from '../sealing/master-key.ts'
import type { CertificateAuthorityRow } from '../storage/workload-identity-tables.ts'
import { CaUnavailable } from './ca-unavailable.ts'
import { sealedAs } from './make-authority.ts'

/** @throws CaUnavailable when it cannot be opened, or is not the private half of what is published */
export function openAuthorityKey(
  row: Pick<CertificateAuthorityRow, 'id' | 'kind' | 'public_key' | 'sealed_private_key'>,
  masterKey: MasterKey,
): KeyObject {
  try {
    const der = masterKey.open(row.sealed_private_key, sealedAs(row.id))
    const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' }).toString('base64')
    if (publicKey === row.public_key) return key
  } catch {
    // Said below, for every way in which it can be broken.
  }
  throw new CaUnavailable(
    `the private key of the ${row.kind} authority ${row.id} is damaged and cannot be opened: restore a backup, or put another authority in its place with: countersign ca rotate --kind ${row.kind} --force`,
  )
}
