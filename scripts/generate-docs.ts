// Writes the docs that come from the code: `generate-docs.ts [--check]`. With --check it only says what is out of step.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { configJsonSchema } from '@countersign/server'
import { serviceDocumentJsonSchema } from '@countersign/service'
import { agentSettingsReference } from './agent-settings.ts'
import { errorReference } from './error-reference.ts'
import { root } from './modern-node.js'

const documents: Record<string, string> = {
  'docs/agent-settings.md': agentSettingsReference(),
  'docs/errors.md': errorReference(),
  'docs/countersign.schema.json': jsonText(configJsonSchema()),
  'docs/countersign-service.schema.json': jsonText(serviceDocumentJsonSchema()),
}

let stale = 0
for (const [path, text] of Object.entries(documents)) {
  const file = join(root, path)
  if (existsSync(file) && readFileSync(file, 'utf8') === text) continue
  if (process.argv.includes('--check')) {
    stale += 1
    console.log(`${path} is not what the code says`)
  } else {
    writeFileSync(file, text)
  }
}
process.exit(stale === 0 ? 0 : 1)

function jsonText(schema: object): string {
  return `${JSON.stringify(schema, null, 2)}\n`
}
