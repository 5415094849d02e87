import type { DocumentFault } from '../service-error.ts'
import { ruleFaults } from './document-rules.ts'
import { documentSchema } from './document-schema.ts'
import { type DocumentContent, readDocumentContent } from './document-text.ts'
import { completeFragment } from './fragment.ts'
import { invalidDocument, pathText } from './invalid-document.ts'
import { type Fault, type Path, schemaFaults } from './schema-faults.ts'
import type { ServiceDocument } from './service-document.ts'
import { toServiceDocument } from './to-service-document.ts'

export interface ReadOptions {
  /** What relative paths in the document start from. Default: the document's own folder, else the working directory */
  readonly folder?: string
}

/**
 * Reads what describes a service: an object, a JSON or YAML text, or a file that holds one (its path, or a `file:` URL).
 * A fragment (one API, one edge controller, one action) is read as a service with that alone.
 * @throws ServiceError `invalid_document` with every fault, its path in what was given, and its place in the text
 */
export function readServiceDocument(input: unknown, options: ReadOptions = {}): ServiceDocument {
  const { content: given, folder, placeOf } = readDocumentContent(input)
  const { content, at } = completeFragment(given)
  const result = documentSchema.safeParse(content)
  const faults = [...(result.success ? [] : schemaFaults(result.error.issues, content)), ...ruleFaults(content)]
  if (result.success && faults.length === 0) return toServiceDocument(result.data, options.folder ?? folder)
  throw invalidDocument(inOrder(faults, placeOf, at))
}

/** With paths as in what was given, and in the order of its lines where it is text. */
function inOrder(faults: readonly Fault[], placeOf: DocumentContent['placeOf'], at: Path): DocumentFault[] {
  const placed = faults.map(({ path, message, position }) => {
    const isInside = at.length > 0 && at.every((step, index) => path[index] === step)
    const own = isInside ? path.slice(at.length) : path
    const place = placeOf(own, position)
    return { path: pathText(own), message, ...(place && { place }), ...(position && { position }) }
  })
  return placed.sort((one, other) => lineOf(one) - lineOf(other))
}

function lineOf({ place }: DocumentFault): number {
  return Number(/(\d+):\d+$/.exec(place ?? '')?.[1] ?? 0)
}
