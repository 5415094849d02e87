import { createHash } from 'node:crypto'
import { type FileHandle, open, statfs } from 'node:fs/promises'

const ONE_GIBIBYTE = 2 ** 30
const CACHED_FILES = 1000

/** Where every change of a file shows in its ctime, mapped memory included: by their `f_type` (statfs(2)). */
const HONEST_FILE_SYSTEMS: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // XFS
  0x9123683e, // Btrfs
  0xf2f52010, // F2FS
  0x2fc12fc1, // ZFS
  0x73717368, // SquashFS
  0xe0f5e1e2, // EROFS
])
/** Kernels before 6.13 count time in ticks: two changes within one have the same ctime. */
const SETTLED_MILLISECONDS = 2_000

/** SHA-256 of files, lower-case hex. */
export interface BinaryHashes {
  /**
   * @param user whose process runs it: one user's files are read one after the other, and hold up nobody else's
   * @param runner stands for the one process that runs this file, and keeps it from being written (ETXTBSY)
   */
  of(path: string, user: number, runner?: object): Promise<string>
}

/**
 * Hashes binaries, each version once: what is remembered is of a device, inode, size and times of change (to the
 * nanosecond; ctime cannot be set back by a program). Where a file can change without them, as on tmpfs through mapped
 * memory, it is remembered for the process that runs it and for no other. The file is opened once, so that it is hashed
 * as it was looked at.
 */
export function createBinaryHashes(options: { maxBytes?: number | undefined } = {}): BinaryHashes {
  const maxBytes = options.maxBytes ?? ONE_GIBIBYTE
  const known = new Map<string, Promise<string>>()
  const runners = new WeakMap<object, { version: string; digest: Promise<string> }>()
  const queues = new Map<number, Promise<unknown>>()

  return {
    async of(path, user, runner = {}) {
      const file = await open(path, 'r')
      try {
        const version = await versionOf(file, maxBytes)
        if (!(await showsChanges(file))) {
          const last = runners.get(runner)
          if (last?.version === version) return await last.digest
          const digest = inTurn(user, () => hash(file, version))
          runners.set(runner, { version, digest })
          digest.catch(() => runners.delete(runner))
          return await digest
        }
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

async function showsChanges(file: FileHandle): Promise<boolean> {
  const { ctimeMs } = await file.stat()
  if (ctimeMs > Date.now() - SETTLED_MILLISECONDS) return false
  return HONEST_FILE_SYSTEMS.has((await statfs(`/proc/self/fd/${file.fd}`)).type)
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
