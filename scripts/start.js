// `npm start`: everything from a fresh clone to a running playground. Runs on Node 20.
import { spawn } from 'node:child_process'
import { installDependencies } from './install.js'
import { modernNode, root } from './modern-node.js'

installDependencies()
const child = spawn(modernNode(), [`${root}/packages/cli/bin/countersign.js`, 'dev', ...process.argv.slice(2)], {
  stdio: 'inherit',
})
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)))
