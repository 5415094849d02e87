import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'

const ONE_GIBIBYTE = 2 ** 30
const CACHED_FILES = 1000

/** SHA-256 of files, lower-case hex. */
export interface BinaryHashes {
  /** @param user whose process runs it: one user's files are read one after the other, and hold up nobody else's */
  of(path: string, user: number): Promise<string>
}

/**
 * Hashes binaries, each version once: what is remembered is of a device, inode, size and times of change (to the
 * nanosecond; ctime cannot be set back by a program). The file is opened once, so that it is hashed as it was looked at.
 */
export function createBinaryHashes(options: { maxBytes?: number | undefined } = {}): BinaryHashes {
  const maxBytes = options.maxBytes ?? ONE_GIBIBYTE
  const known = new Map<string, Promise<string>>()
  const queues = new Map<number, Promise<unknown>>()

  return {
    async of(path, user) {
      const file = await open(path, 'r')
      try {
        const version = await versionOf(file, maxBytes)
        const digest = known.get(version) ?? inTurn(user, () => hash(file, version))
        known.delete(version)
        known.set(version, digest)
        if (known.size > CACHED_FILES) known.delete(known.keys().next().value as string)
        digest.catch(() => known.delete(version))
        return await digest
      } finally {
        await file.close()
      }
    },
  }

  function inTurn(user: number, work: () => Promise<string>): Promise<string> {
    const done = (queues.get(user) ?? Promise.resolve()).then(work, work)
    queues.set(user, done)
    const forget = () => {
      if (queues.get(user) === done) queues.delete(user)
    }
    done.then(forget, forget)
    return done
  }

  async function hash(file: FileHandle, version: string): Promise<string> {
    const digest = createHash('sha256')
    const buffer = Buffer.allocUnsafe(256 * 1024)
    for (let position = 0; ; ) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, position)
      if (bytesRead === 0) break
      position += bytesRead
      if (position > maxBytes) throw tooLarge(maxBytes)
      digest.update(buffer.subarray(0, bytesRead))
    }
    if ((await versionOf(file, maxBytes)) !== version) throw new Error('it changed while it was read')
    return digest.digest('hex')
  }
}

async function versionOf(file: FileHandle, maxBytes: number): Promise<string> {
  const stats = await file.stat({ bigint: true })
  if (!stats.isFile()) throw new Error('it is not a file')
  if (stats.size > BigInt(maxBytes)) throw tooLarge(maxBytes)
  return [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join(' ')
}

function tooLarge(maxBytes: number): Error {
  return new Error(`it is larger than ${maxBytes} bytes`)
}
