// Runs a TypeScript program from source on a Node that can: `node scripts/run.js FILE [ARG ...]`.
import { spawn } from 'node:child_process'
import { modernNode, sourceFlags } from './modern-node.js'

const child = spawn(modernNode(), [...sourceFlags, ...process.argv.slice(2)], { stdio: 'inherit' })
// A terminal sends Ctrl-C to the whole group; a supervisor signals only us. Either way the child decides when to end.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)))
