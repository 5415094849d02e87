// `npm test [-- VITEST ARGUMENTS]`: installs and starts what the tests need, runs them all, stops what it started.
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { installDependencies } from './install.js'
import { modernNode, root } from './modern-node.js'
import { removeFolder } from './services/remove-folder.js'
import { closeServicesFolder, openServicesFolder } from './services/services-folder.js'
import { startServices } from './services/start-services.js'
import { unmountBelow } from './services/unmount-below.js'
import { countTests } from './test-report.js'

const say = (text) => console.error(`[test] ${text}`)
const folder = mkdtempSync(join(tmpdir(), 'countersign-test-'))
const report = join(folder, 'report.json')
const servicesFolder = openServicesFolder()
let services
let child
let interrupted

process.on('exit', () => {
  // What tests have started for themselves, where they were killed before they could stop it.
  signalTests('SIGKILL')
  closeServicesFolder(servicesFolder)
  unmountBelow(folder)
  removeFolder(folder)
})
// The tests end first, while their services still answer; then the `exit` above stops these.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    interrupted = 128 + constants.signals[signal]
    if (!child) process.exit(interrupted)
    signalTests(signal)
    setTimeout(() => signalTests('SIGKILL'), 5_000).unref()
  })
}

installDependencies()
services = await startServices(say).catch((error) => {
  say(error.message)
  console.log('0 passed, 1 failed')
  process.exit(1)
})
await runTests()
if (interrupted) process.exit(interrupted)
const { passed, failed, skipped } = countTests(report)
for (const suites of services.leftOut) say(`left out, as it could not be had: every suite that needs ${suites}`)
for (const name of skipped) say(`skipped: ${name}`)
const incomplete = process.env.CI !== undefined && services.leftOut.length > 0
if (incomplete) say('in CI nothing may be left out: this run has failed')
console.log(`${passed} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`)
process.exitCode = failed > 0 || passed === 0 || incomplete ? 1 : 0

function runTests() {
  const node = modernNode()
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const colors = process.stdout.isTTY ? [] : ['--no-color']
  // Files of the tests go where one removal finds all of them, however the tests end.
  const TMPDIR = join(folder, 'tmp')
  mkdirSync(TMPDIR)
  child = spawn(node, [vitest, 'run', ...reporters, ...colors, ...process.argv.slice(2)], {
    cwd: root,
    // Programs that the tests start as `node` are to be this Node too.
    env: { ...process.env, ...services.environment, TMPDIR, PATH: `${dirname(node)}:${process.env.PATH}` },
    stdio: ['ignore', 'inherit', 'inherit'],
    // A group of its own, so that one signal reaches all that tests have started, and Ctrl-C reaches them once.
    detached: true,
  })
  return new Promise((resolve) => child.on('exit', resolve))
}

function signalTests(signal) {
  try {
    if (child) process.kill(-child.pid, signal)
  } catch {
    // Nobody is left in the group.
  }
}
