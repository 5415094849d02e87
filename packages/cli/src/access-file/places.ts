import { type Document, isAlias, isMap, isScalar, isSeq, type LineCounter, type Node } from 'yaml'

export type Path = readonly (string | number)[]

/** Where in a YAML text the things of a document are, for errors. */
export class Places {
  readonly #document: Document
  readonly #lines: LineCounter
  readonly #file: string

  constructor(document: Document, lines: LineCounter, file: string) {
    this.#document = document
    this.#lines = lines
    this.#file = file
  }

  /** `access.yaml:12` of what is at the path, or of the nearest thing around it; of a map's member that is its key. */
  of(path: Path): string {
    let node: unknown = this.#document.contents
    let offset = (node as Node | null)?.range?.[0] ?? 0
    for (const step of path) {
      if (isAlias(node)) node = node.resolve(this.#document)
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => (isScalar(key) ? String(key.value) : undefined) === String(step))
        if (!pair) break
        offset = (pair.key as Node).range?.[0] ?? offset
        node = pair.value
      } else if (isSeq(node)) {
        const item = node.items[Number(step)] as Node | undefined
        if (!item) break
        offset = item.range?.[0] ?? offset
        node = item
      } else break
    }
    return this.at(offset)
  }

  at(offset: number): string {
    return `${this.#file}:${this.#lines.linePos(offset).line}`
  }
}
