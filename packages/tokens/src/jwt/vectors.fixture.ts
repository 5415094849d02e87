import { readFileSync } from 'node:fs'

/** The vectors of a file in conformance/vectors: one JSON value a line, after a line that tells where they come from. */
export function readVectors<T>(name: string): T[] {
  const file = new URL(`../../../../conformance/vectors/${name}.jsonl`, import.meta.url)
  return readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .slice(1)
    .map((line) => JSON.parse(line) as T)
}
