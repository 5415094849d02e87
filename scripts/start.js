// `npm start`: everything from a fresh clone to a running playground. Runs on Node 20.
import { spawn } from 'node:child_process'
import { installDependencies } from './install.js'
import { modernNode, root, sourceFlags } from './modern-node.js'

installDependencies()
const child = spawn(
  modernNode(),
  [...sourceFlags, `${root}/packages/cli/src/main.ts`, 'dev', ...process.argv.slice(2)],
  { stdio: 'inherit' },
)
// Ctrl-C reaches the child by itself: stay until it has ended cleanly.
process.on('SIGINT', () => {})
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)))
