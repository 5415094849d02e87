import { benchAgent } from './agent.ts'
import { benchEntries } from './entries.ts'
import { type Figure, printFigures } from './figures.ts'
import { benchIssuing } from './issuing.ts'
import { benchMemory, benchStart } from './playground.ts'
import { benchServiceCalls } from './service-calls/service-calls.ts'
import { benchServiceTokens } from './service-tokens.ts'
import { benchSvids } from './svids.ts'
import { benchVerifying } from './verifying.ts'

/** `npm run bench [-- issuing|verifying|service-tokens|service-calls|svids|entries|agent|start|memory ...]`: ratios within one run; the machine's own speed drops out. */
const suites: Record<string, () => Promise<Figure[]>> = {
  issuing: benchIssuing,
  verifying: benchVerifying,
  'service-tokens': benchServiceTokens,
  'service-calls': benchServiceCalls,
  svids: benchSvids,
  entries: benchEntries,
  agent: benchAgent,
  start: benchStart,
  memory: benchMemory,
}

const chosen = process.argv.slice(2).filter((name) => name !== '--json')
for (const name of chosen) {
  if (!(name in suites)) {
    console.error(`there is no benchmark "${name}"; choose from: ${Object.keys(suites).join(', ')}`)
    process.exit(2)
  }
}
const figures: Figure[] = []
for (const [name, run] of Object.entries(suites)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue
  if (process.stderr.isTTY) console.error(`measuring ${name} ...`)
  figures.push(...(await run()))
}
if (process.argv.includes('--json')) console.log(JSON.stringify(figures))
else printFigures(figures)
