import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type Figure, median, percent, perSecond } from './figures.ts'
import { type Program, startProgram } from './process.ts'

const rounds = 5
const milliseconds = 2000
const connections = 64
const servers = ['bare', 'countersign', 'node-oidc-provider'] as const

/** Tokens per second over HTTP, each server on one core, in turn, several times: medians and their ratios. */
export async function benchIssuing(): Promise<Figure[]> {
  const programs = new Map<string, Program>()
  for (const name of servers) {
    programs.set(name, await startProgram(new URL(`./servers/${name}.ts`, import.meta.url), { core: 0 }))
  }
  const rates = new Map<string, number[]>(servers.map((name) => [name, []]))
  try {
    for (const [name, { ready }] of programs) drive(name, ready, 1000)
    for (let round = 0; round < rounds; round++) {
      for (const [name, { ready }] of programs) rates.get(name)?.push(drive(name, ready, milliseconds))
    }
  } finally {
    for (const program of programs.values()) await program.stop()
  }
  const rate = (name: string) => median(rates.get(name) ?? [])
  const [bare, ours, other] = servers.map(rate) as [number, number, number]
  return [
    {
      name: 'issue an ES256 token over HTTP, durable audit on, against a bare server',
      measured: `${percent(ours / bare)} (${perSecond(ours)} of ${perSecond(bare)})`,
      budget: '>= 60 %, aim 85 %',
      met: ours / bare >= 0.6,
    },
    {
      name: 'the same against node-oidc-provider 9',
      measured: `${(ours / other).toFixed(2)} x (${perSecond(other)})`,
      budget: '>= 1.6 x',
      met: ours / other >= 1.6,
    },
  ]
}

function drive(name: string, { port, path, body }: Record<string, unknown>, forMilliseconds: number): number {
  const load = fileURLToPath(new URL('./load.ts', import.meta.url))
  const args = [load, String(port), String(connections), String(forMilliseconds), String(path), String(body)]
  const node = [process.execPath, '--disable-warning=ExperimentalWarning', ...args]
  const pin = spawnSync('taskset', ['-c', '1', 'true']).status === 0 ? ['taskset', '-c', '1'] : []
  const [command, ...rest] = [...pin, ...node] as [string, ...string[]]
  const { stdout, stderr } = spawnSync(command, rest, { encoding: 'utf8' })
  if (!stdout) throw new Error(`the load generator failed: ${stderr}`)
  const { perSecond: rate, refused } = JSON.parse(stdout)
  if (refused > 0) throw new Error(`${name} refused ${refused} requests; its figure would mean nothing`)
  return rate
}
