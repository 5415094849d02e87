// Prepares what the suites need of other languages, ahead of them: `npm run setup -w conformance`.
import { prepareGo } from './go.ts'
import { preparePython } from './python.ts'

for (const [name, prepare] of Object.entries({ Python: preparePython, Go: prepareGo })) {
  try {
    await prepare()
    console.log(`${name}: ready`)
  } catch (error) {
    console.error(`${name}: ${(error as Error).message}`)
    process.exitCode = 1
  }
}
