import { closeSync, fstatSync, openSync } from 'node:fs'
import { createRequire } from 'node:module'

const [PROT_READ_WRITE, MAP_SHARED] = [3, 1]

/** Writes into a file through mapped memory (mmap(2)), each page read before: on tmpfs no time of the file tells of it. */
export function writeMapped(path: string, content: Buffer): void {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi')
  const system = koffi.load(null)
  const map = system.func(
    'void *mmap(void *address, size_t length, int protection, int flags, int file, int64_t offset)',
  )
  const unmap = system.func('int munmap(void *address, size_t length)')
  const file = openSync(path, 'r+')
  if (fstatSync(file).size !== content.length) throw new Error('it must be as large as the file')
  const address = map(null, content.length, PROT_READ_WRITE, MAP_SHARED, file, 0)
  const memory = Buffer.from(koffi.view(address, content.length))
  for (let at = 0; at < memory.length; at += 4096) memory.readUInt8(at)
  content.copy(memory)
  unmap(address, content.length)
  closeSync(file)
}
