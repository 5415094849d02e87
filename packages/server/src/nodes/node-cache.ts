import { LRUCache } from 'lru-cache'
import type { ChangeFeed } from '../storage/change-feed.ts'
import type { Store } from '../storage/store.ts'
import { type Node, nodeOf } from './node.ts'

/** Nodes from memory when it can, from the store when it must; never an old one after a change was told. */
export class NodeCache {
  readonly #store: Store
  readonly #nodes: LRUCache<string, Node>
  /** Grows with every change told; what was read before a change must not be kept after it. */
  #generation = 0

  constructor({ store, feed, maximumNodes = 50_000 }: { store: Store; feed: ChangeFeed; maximumNodes?: number }) {
    this.#store = store
    this.#nodes = new LRUCache({ maxSize: maximumNodes, sizeCalculation: () => 1 })
    feed.onChange((change) => {
      if (change === 'everything') this.#nodes.clear()
      else if (change.kind === 'node') this.#nodes.delete(change.id)
      else return
      this.#generation += 1
    })
  }

  /** As remembered; undefined says nothing. */
  peek(id: string): Node | undefined {
    return this.#nodes.get(id)
  }

  /** As the store has it now. @throws StoreError `unavailable` */
  async read(id: string): Promise<Node | undefined> {
    const generation = this.#generation
    const row = await this.#store.database.selectFrom('nodes').selectAll().where('id', '=', id).executeTakeFirst()
    if (!row) return undefined
    const node = nodeOf(row)
    if (generation === this.#generation) this.#nodes.set(id, node)
    return node
  }
}
