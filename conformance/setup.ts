// Prepares what the suites need of other languages, ahead of them: `npm run setup -w conformance`.
import { prepareGo } from './go.ts'
import { preparePython } from './python.ts'
import { prepareEnvoy } from './workload-api/envoy.ts'
import { prepareGoSpiffe } from './workload-api/go-spiffe.ts'

const preparations = { Python: preparePython, Go: prepareGo, 'go-spiffe': prepareGoSpiffe, Envoy: prepareEnvoy }

for (const [name, prepare] of Object.entries(preparations)) {
  try {
    await prepare()
    console.log(`${name}: ready`)
  } catch (error) {
    console.error(`${name}: ${(error as Error).message}`)
    process.exitCode = 1
  }
}
