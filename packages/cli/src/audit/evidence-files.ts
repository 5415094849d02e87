import { createPublicKey, type KeyObject } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { CliError, wrongUse } from '../cli-error.ts'
import { readText } from '../read-text.ts'
import type { AuditHead } from '../resources.ts'
import { compareTimes, inChainOrder } from './chain-order.ts'

/** Heads noted earlier, as `audit head --json` printed them, and the public key that was noted with them. */
export async function readHeads(file: string): Promise<{ heads: AuditHead[]; publicJwk?: object }> {
  const document = parseJson(await readText(file, 'heads, as countersign audit head --json prints them'), file)
  const { items, public_jwk: publicJwk } = document as { items?: unknown; public_jwk?: object }
  const heads = Array.isArray(document) ? document : Array.isArray(items) ? items : [document]
  if (heads.length === 0 || !heads.every(isHead)) {
    throw wrongUse(`${file} holds no audit heads; note them with: countersign audit head --json > ${file}`)
  }
  return { heads, ...(publicJwk && { publicJwk }) }
}

/** The audit key's public half: a JWK, PEM, or the output of `audit head --json`. */
export async function readPublicKey(file: string): Promise<KeyObject> {
  const text = await readText(file, 'the public audit key')
  try {
    if (!text.trimStart().startsWith('{')) return createPublicKey(text)
    const document = parseJson(text, file) as { public_jwk?: object }
    return createPublicKey({ key: (document.public_jwk ?? document) as Record<string, string>, format: 'jwk' })
  } catch (error) {
    if (error instanceof CliError) throw error
    throw wrongUse(`${file} holds no public key that can be read; countersign audit head --json shows it as public_jwk`)
  }
}

/**
 * The events of a file, one JSON a line, each chain in its order. As `audit search` writes them, oldest or newest first,
 * they are in the order of time, which is mended; lines in any other order are for the check to see.
 */
export async function* readEvents(file: string): AsyncGenerator<unknown> {
  const { newestFirst, sorted } = await orderOf(file)
  const events = parsed(newestFirst ? await reversedLines(file) : linesOf(file))
  yield* sorted ? inChainOrder(events) : events
}

async function orderOf(file: string): Promise<{ newestFirst: boolean; sorted: boolean }> {
  let [rises, falls] = [false, false]
  let first: unknown
  let previous: unknown
  for await (const event of parsed(linesOf(file))) {
    const compared = previous === undefined ? 0 : compareTimes(previous, event)
    if (compared < 0) rises = true
    if (compared > 0) falls = true
    first ??= event
    previous = event
  }
  return { newestFirst: compareTimes(first, previous) > 0, sorted: !(rises && falls) }
}

async function reversedLines(file: string): Promise<string[]> {
  const lines: string[] = []
  for await (const line of linesOf(file)) lines.push(line)
  return lines.reverse()
}

async function* parsed(lines: AsyncIterable<string> | Iterable<string>): AsyncGenerator<unknown> {
  for await (const line of lines) yield parseEvent(line)
}

async function* linesOf(file: string): AsyncGenerator<string> {
  const input = createReadStream(file, 'utf8')
  try {
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      if (line.trim() !== '') yield line
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new CliError(
      `${file} cannot be read (${code}); export events with: countersign audit search --order asc --limit 1000000 --json`,
    )
  } finally {
    input.destroy()
  }
}

/** What is no JSON becomes no event, which the check then names with its place. */
function parseEvent(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw wrongUse(`${file} is not valid JSON; note heads with: countersign audit head --json > ${file}`)
  }
}

function isHead(value: unknown): value is AuditHead {
  const head = value as Partial<AuditHead> | null
  return (
    typeof head?.chain === 'string' &&
    Number.isSafeInteger(head.sequence) &&
    typeof head.hash === 'string' &&
    typeof head.signature === 'string'
  )
}
