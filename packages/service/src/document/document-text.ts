import { readFileSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isNode, isScalar, LineCounter, parseDocument } from 'yaml'
import type { Position } from '../service-error.ts'
import { invalidDocument } from './invalid-document.ts'

export interface DocumentContent {
  readonly content: unknown
  /** What relative paths start from */
  readonly folder: string
  /** Where something stands in the text, such as `inventory.yaml:12:5`; `position` counts within a text there. */
  placeOf(path: readonly PropertyKey[], position?: Position): string | undefined
}

/** The content of an object, a JSON or YAML text, or a file that holds one. */
export function readDocumentContent(input: unknown): DocumentContent {
  if (input instanceof URL) return readFile(fileURLToPath(input))
  if (typeof input !== 'string') return { content: input, folder: process.cwd(), placeOf: () => undefined }
  return isFileName(input) ? readFile(input) : parseText(input, '', process.cwd())
}

/** One line without any sign of JSON or YAML is the name of a file. */
function isFileName(text: string): boolean {
  return text !== '' && !/[\n{}]|:\s|:$|^\s*\[/.test(text)
}

const largestFile = 4_194_304

function readFile(file: string): DocumentContent {
  let text: string
  try {
    if (statSync(file).size > largestFile) throw new Error(`a document has at most ${largestFile} bytes`)
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (error as Error).message
    throw invalidDocument([{ path: '', message: `${file}: ${why}` }])
  }
  return parseText(text, `${file}:`, dirname(resolve(file)))
}

/** JSON is read as the YAML that it is, so that both have places; comments of JSONC are blanked first. */
function parseText(given: string, prefix: string, folder: string): DocumentContent {
  const text = /^\s*[{[/]/.test(given) ? withoutComments(given) : given
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset)
    return `${prefix}${line}:${col}`
  }
  // What follows the first fault of syntax is mostly its echo.
  const [error] = document.errors
  if (error) throw invalidDocument([{ path: '', message: error.message, place: place(error.pos[0]) }])
  return {
    content: contentOf(document, prefix),
    folder,
    placeOf(path, position) {
      const offset = offsetOf(document, path, text, position)
      return offset === undefined ? undefined : place(offset)
    },
  }
}

function contentOf(document: ParsedText, prefix: string): unknown {
  try {
    return document.toJS()
  } catch (error) {
    // Aliases that grow without end
    throw invalidDocument([{ path: '', message: `${prefix}${(error as Error).message}` }])
  }
}

/** The same text with comments as spaces. A `//` behind a colon is part of a plain YAML text such as a URL. */
function withoutComments(text: string): string {
  return text.replaceAll(/"(?:\\.|[^"\\\n])*"|(?<!:)\/\/[^\n\r]*|\/\*[\s\S]*?\*\//g, (found) =>
    found.startsWith('"') ? found : found.replaceAll(/[^\n\r]/g, ' '),
  )
}

type ParsedText = ReturnType<typeof parseDocument>

/** Of the key at a path, or of the nearest thing around it that there is; of a position within a text exactly. */
function offsetOf(
  document: ParsedText,
  path: readonly PropertyKey[],
  text: string,
  position: Position | undefined,
): number | undefined {
  if (position !== undefined) {
    const within = offsetWithin(document, path, text, position)
    if (within !== undefined) return within
  }
  for (let length = path.length; length > 0; length--) {
    const offset = keyOffset(document, path.slice(0, length))
    if (offset !== undefined) return offset
  }
  return isNode(document.contents) ? document.contents.range?.[0] : undefined
}

function keyOffset(document: ParsedText, path: readonly PropertyKey[]): number | undefined {
  const holder = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true)
  const items = (holder as { items?: readonly Item[] } | undefined)?.items ?? []
  const last = path.at(-1)
  const item = typeof last === 'number' ? items[last] : items.find(({ key }) => key?.value === last)
  return item?.key?.range?.[0] ?? item?.range?.[0]
}

interface Item {
  readonly key?: { readonly value?: unknown; readonly range?: readonly number[] }
  readonly range?: readonly number[]
}

/** Only where the text stands in the source letter by letter, without escapes or folding. */
function offsetWithin(
  document: ParsedText,
  path: readonly PropertyKey[],
  text: string,
  { line, column }: Position,
): number | undefined {
  const node = document.getIn(path, true)
  if (line !== 1 || !isScalar(node) || typeof node.value !== 'string' || !node.range) return undefined
  const start = text.indexOf(node.value, node.range[0])
  return start === -1 || start > node.range[0] + 1 ? undefined : start + column - 1
}
