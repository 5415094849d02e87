// Looks at each package as npm would publish it: do its exports lead to files, and do types and code agree?
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { root } from './modern-node.js'

let failed = false
for (const folder of readdirSync(join(root, 'packages'))) {
  const pkgDir = join(root, 'packages', folder)
  const { messages } = await publint({ pkgDir, strict: false, pack: false })
  const manifest = JSON.parse(readFileSync(join(pkgDir, 'package.json'), 'utf8'))
  for (const message of messages) {
    if (message.type === 'suggestion') continue
    failed = true
    console.log(`${manifest.name}: ${formatMessage(message, manifest)}`)
  }
}
process.exit(failed ? 1 : 0)
