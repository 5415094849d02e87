import { createHash } from 'node:crypto'

/**
 * One text for a list of parts, different for different lists: lengths keep `a:b` + `c` and `a` + `b:c` apart. Long ones
 * are hashed, so that what a caller sends does not decide how much memory it takes.
 */
export function storeKey(...parts: readonly string[]): string {
  let key = ''
  for (const part of parts) key += `${part.length}:${part}`
  if (key.length <= 200 && key.isWellFormed()) return `=${key}`
  return `#${createHash('sha256').update(key, 'utf16le').digest('base64url')}`
}
