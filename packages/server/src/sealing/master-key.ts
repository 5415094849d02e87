import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto'
import { StoreError } from '../storage/store.ts'

/**
 * Everything that the server keeps secret hangs on one 32-byte master key, which never enters the database. Each use
 * gets a key of its own (HKDF, RFC 5869), so that no two uses can be played against each other.
 */
export interface MasterKey {
  /** AES-256-GCM; `context` (say, a key id) must be the same when opening, so that sealed values cannot be swapped. */
  seal(plain: Buffer, context: string): string
  /** @throws StoreError `wrong_master_key` when the value was sealed under another key or altered */
  open(sealed: string, context: string): Buffer
  /** Key of the HMAC under which client secrets are stored */
  readonly clientSecretKey: KeyObject
  /** Key of the HMAC under which join tokens are stored */
  readonly joinTokenKey: KeyObject
  /** Key of the HMAC that ends a backup */
  readonly backupKey: KeyObject
  /** Key of the HMAC by which the serial number of an SVID tells for whom it was issued */
  readonly issuanceKey: KeyObject
  /** Ed25519 key that signs the heads of the audit chains */
  readonly auditKey: KeyObject
}

/** @param text 32 bytes as base64url, base64 or hex: `openssl rand -base64 32` */
export function createMasterKey(text: string): MasterKey {
  const root = parseMasterKey(text)
  const derive = (use: string) => Buffer.from(hkdfSync('sha256', root, '', `countersign ${use}`, 32))
  const sealingKey = derive('sealing')
  return {
    seal: (plain, context) => seal(sealingKey, plain, context),
    open: (sealed, context) => open(sealingKey, sealed, context),
    clientSecretKey: createSecretKey(derive('client secrets')),
    joinTokenKey: createSecretKey(derive('join tokens')),
    backupKey: createSecretKey(derive('backups')),
    issuanceKey: createSecretKey(derive('issuance')),
    auditKey: ed25519FromSeed(derive('audit heads')),
  }
}

export function generateMasterKey(): string {
  return randomBytes(32).toString('base64url')
}

/** @returns what is wrong with the text, or undefined */
export function masterKeyFault(text: string): string | undefined {
  try {
    parseMasterKey(text)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

function parseMasterKey(text: string): Buffer {
  const trimmed = text.trim()
  const bytes = /^[0-9a-fA-F]{64}$/.test(trimmed)
    ? Buffer.from(trimmed, 'hex')
    : /^[A-Za-z0-9+/_-]{43}=?$/.test(trimmed)
      ? Buffer.from(trimmed, 'base64url')
      : Buffer.alloc(0)
  if (bytes.length !== 32) {
    throw new StoreError(
      'wrong_master_key',
      'the master key must be 32 bytes in base64 or hex; make one with: openssl rand -base64 32',
    )
  }
  return bytes
}

function seal(key: Buffer, plain: Buffer, context: string): string {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context))
  const body = Buffer.concat([cipher.update(plain), cipher.final()])
  return `v1.${Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64url')}`
}

function open(key: Buffer, sealed: string, context: string): Buffer {
  try {
    if (!sealed.startsWith('v1.')) throw new Error('unknown format')
    const bytes = Buffer.from(sealed.slice(3), 'base64url')
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12), { authTagLength: 16 })
    decipher.setAAD(Buffer.from(context)).setAuthTag(bytes.subarray(12, 28))
    return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()])
  } catch {
    throw new StoreError(
      'wrong_master_key',
      'a sealed value in the database cannot be opened: it was sealed under another master key, or altered',
    )
  }
}

/** RFC 8410 section 7: a PKCS#8 Ed25519 private key is this prefix and the seed. */
function ed25519FromSeed(seed: Buffer): KeyObject {
  const prefix = Buffer.from('302e020100300506032b657004220420', 'hex')
  return createPrivateKey({ key: Buffer.concat([prefix, seed]), format: 'der', type: 'pkcs8' })
}
