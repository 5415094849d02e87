import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import {
  type Bundle,
  formatBundleDocument,
  formatPemCertificates,
  parseBundleDocument,
  parsePemCertificates,
} from '@countersign/spiffe'
import { AgentError, reasonOf } from '../agent-error.ts'
import type { AgentLog } from '../agent-log.ts'
import type { AgentIdentity } from './agent-identity.ts'

/** More than an identity with a bundle of some authorities takes. */
const roomBytes = 64 * 1024

/** An identity with the bundle that judged the server when it was written. */
export interface StoredIdentity {
  readonly identity: AgentIdentity
  readonly bundle: Bundle
}

/** Where the agent's own identity outlives a restart. Without one, each start is an attestation. */
export interface IdentityStore {
  load(): StoredIdentity | undefined
  /** Throws where `save` would, without anything to save. */
  check(): void
  /**
   * The key with which this agent attests itself: what `make` makes at the first time, and the same until there is an
   * identity. Throws where it cannot be stored.
   */
  attestationKey(make: () => KeyObject): KeyObject
  save(stored: StoredIdentity): void
  remove(): void
}

/**
 * One file in a folder of the agent's own, readable by nobody else: all of it is of one moment.
 * @throws AgentError `invalid_configuration` when others could read or replace what is in the folder
 */
export function identityStoreIn(folder: string, trustDomain: string, log: AgentLog): IdentityStore {
  prepareFolder(folder)
  const path = join(folder, 'agent-identity.json')
  const keyPath = join(folder, 'attestation.key')
  return {
    load() {
      let text: string
      try {
        text = readFileSync(path, 'utf8')
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw new AgentError('invalid_configuration', `${path} cannot be read: ${reasonOf(error)}`)
      }
      try {
        return parse(text, trustDomain)
      } catch (error) {
        log.warn({ path, reason: reasonOf(error) }, 'the stored identity of this agent cannot be used; attesting anew')
        return undefined
      }
    },
    check() {
      prepareFolder(folder)
      writeNext(path, ' '.repeat(roomBytes))
      rmSync(nextOf(path))
    },
    attestationKey(make) {
      const found = readKey(keyPath)
      if (found !== undefined) return found
      const key = make()
      write(keyPath, pemOf(key))
      return key
    },
    save(stored) {
      write(path, format(stored))
      rmSync(keyPath, { force: true })
    },
    remove: () => rmSync(path, { force: true }),
  }

  function write(file: string, text: string): void {
    // Somebody may have removed it since.
    prepareFolder(folder)
    writeNext(file, text)
    renameSync(nextOf(file), file)
  }
}

/** Undefined when there is none, or none that is one: then another is as good. */
function readKey(path: string): KeyObject | undefined {
  try {
    return createPrivateKey(readFileSync(path))
  } catch {
    return undefined
  }
}

function pemOf(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }) as string
}

function prepareFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const found = lstatSync(folder)
  if (!found.isDirectory() || found.uid !== process.getuid?.())
    throw new AgentError(
      'invalid_configuration',
      `the data directory ${folder} must be a folder of the agent's own user`,
    )
  if ((found.mode & 0o022) !== 0)
    throw new AgentError(
      'invalid_configuration',
      (found.mode & 0o1000) === 0
        ? `others may write in the data directory ${folder}; close it to them: chmod 700 ${folder}`
        : `everybody may write in ${folder}, and is to; give the agent a data directory of its own there`,
    )
}

function parse(text: string, trustDomain: string): StoredIdentity {
  const { id, certificates, private_key, reattestable, bundle } = JSON.parse(text) as Record<string, string> & {
    reattestable: boolean
  }
  if (!String(id).startsWith(`spiffe://${trustDomain}/`)) throw new Error(`it is of another trust domain: ${id}`)
  const chain = parsePemCertificates(certificates ?? '')
  const privateKey = createPrivateKey(private_key ?? '')
  if (chain[0]?.publicKey.equals(createPublicKey(privateKey)) !== true)
    throw new Error('key and certificate do not belong together')
  return {
    identity: { id: String(id), certificates: chain, privateKey, reattestable: reattestable === true },
    bundle: parseBundleDocument(trustDomain, JSON.stringify(bundle)),
  }
}

function format({ identity, bundle }: StoredIdentity): string {
  const stored = {
    id: identity.id,
    certificates: formatPemCertificates(identity.certificates),
    private_key: pemOf(identity.privateKey),
    reattestable: identity.reattestable,
    bundle: JSON.parse(formatBundleDocument(bundle)),
  }
  return `${JSON.stringify(stored, null, 2)}\n`
}

/** What is renamed into its place then: whole or not at all, also when the power goes or the disk is full. */
function writeNext(path: string, text: string): void {
  const next = nextOf(path)
  rmSync(next, { force: true })
  const file = openSync(next, 'wx', 0o600)
  try {
    // Not writeSync, which leaves out without a word what a full disk has no room for.
    writeFileSync(file, text)
    fsyncSync(file)
  } catch (error) {
    rmSync(next, { force: true })
    throw error
  } finally {
    closeSync(file)
  }
}

function nextOf(path: string): string {
  return `${path}.next`
}
