import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Figure, median } from './figures.ts'

const entryCount = 10_000
const agentCount = 1_000
/** Agents ask this often. */
const everySeconds = 5
const passes = 5

const server = new URL('../../packages/server/src/', import.meta.url)
const { EntryIndex } = await import(new URL('registration-entries/entry-index.ts', server).href)
const { newEntry } = await import(new URL('registration-entries/insert-entry.ts', server).href)
const { syncEntries } = await import(new URL('node-api/entry-sync.ts', server).href)

interface Agent {
  id: string
  selectors: { type: string; value: string }[]
}

interface Layout {
  name: string
  parentOf: (entry: number, agents: readonly Agent[]) => string
  /** SPIFFE IDs that nodes have by a selector */
  aliases: Record<string, string>
}

const id = (path: string) => `spiffe://example.org${path}`
const racks = Array.from({ length: 20 }, (_, rack) => rack)

/** What is near to what people have: an entry per pod and node, groups of nodes, and one group of all. */
const layouts: Layout[] = [
  { name: 'ten entries a node', parentOf: (entry, agents) => agents[entry % agentCount]?.id ?? '', aliases: {} },
  {
    name: '500 entries for each of 20 groups of nodes',
    parentOf: (entry) => id(`/rack/${entry % racks.length}`),
    aliases: Object.fromEntries(racks.map((rack) => [id(`/rack/${rack}`), `agent_node_label:rack:${rack}`])),
  },
  { name: 'every entry for every node', parentOf: () => id('/all'), aliases: { [id('/all')]: 'cluster:prod' } },
]

/** What 10,000 entries and 1,000 agents cost one replica, in CPU time within one process: no sockets, no database. */
export async function benchEntries(): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const layout of layouts) figures.push(...(await measure(layout)))
  return figures
}

async function measure({ name, parentOf, aliases }: Layout): Promise<Figure[]> {
  const agents = Array.from({ length: agentCount }, (_, number) => agent(number))
  const before = memory()
  const index = new EntryIndex('example.org')
  for (const [spiffeId, value] of Object.entries(aliases)) {
    index.set(stored({ spiffeId, parentId: id('/spire/server'), selectors: [{ type: 'k8s_psat', value }] }))
  }
  const entries = Array.from({ length: entryCount }, (_, number) => entry(number, parentOf(number, agents)))
  for (const each of entries) index.set(each)
  const first = await syncAll(index, agents)
  const held = memory() - before
  const again: number[] = []
  for (let pass = 0; pass < passes; pass++) again.push((await syncAll(index, agents)).milliseconds)
  const changed: number[] = []
  for (let pass = 0; pass < passes; pass++) {
    const victim = entries[pass]
    index.set({ ...victim, revisionNumber: pass + 1 })
    changed.push((await syncAll(index, agents)).milliseconds)
  }
  const share = (milliseconds: number) => `${((milliseconds / everySeconds / 1000) * 100).toFixed(1)} % of a core`
  const steady = median(again)
  return [
    {
      name: `1,000 agents in step, ${name}`,
      measured: share(steady),
      note: `${(steady / agentCount).toFixed(3)} ms and ${Math.round(first.bytes / agentCount / 100) / 10} kB a sync; at first ${(first.milliseconds / agentCount).toFixed(2)} ms`,
    },
    {
      name: `the same, with an entry changed between two syncs`,
      measured: share(median(changed)),
      note: `${(held / 1e6).toFixed(0)} MB for the entries and all that is remembered of them`,
    },
  ]
}

async function syncAll(index: InstanceType<typeof EntryIndex>, agents: readonly Agent[]) {
  const started = cpuMilliseconds()
  let bytes = 0
  const options = { workloadPolicies: true, attestedAt: 0, now: 1_795_000_000 }
  for (const each of agents) {
    const requests = [{ ids: [], outputMask: undefined }]
    await syncEntries(
      async () => requests.shift(),
      async (message: Buffer) => {
        bytes += message.length
      },
      () => ({ entries: index.authorizedEntries(each, options), withPolicies: true }),
    )
  }
  return { milliseconds: cpuMilliseconds() - started, bytes }
}

function agent(number: number): Agent {
  const values = [
    'cluster:prod',
    'agent_ns:countersign',
    `agent_node_name:node-${number}`,
    `agent_node_label:rack:${number % racks.length}`,
  ]
  const selectors = values.map((value) => ({ type: 'k8s_psat', value }))
  return { id: id(`/spire/agent/k8s_psat/prod/node-${number}`), selectors }
}

function entry(number: number, parentId: string) {
  const values = ['ns:prod', `sa:workload-${number}`]
  const selectors = values.map((value) => ({ type: 'k8s', value }))
  return stored({ spiffeId: id(`/ns/prod/sa/workload-${number}`), parentId, selectors })
}

/** As it comes out of the database: nothing shared with another entry. */
function stored(given: object) {
  return JSON.parse(
    JSON.stringify({ ...newEntry(given), revisionNumber: 0, createdAt: 1_795_000_000, updatedAt: 1_795_000_000 }),
  )
}

function cpuMilliseconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

function memory(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}
