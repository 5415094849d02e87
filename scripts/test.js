// `npm test [-- VITEST ARGUMENTS]`: installs and starts what the tests need, runs them all, stops what it started.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { installDependencies } from './install.js'
import { modernNode, root } from './modern-node.js'
import { closeServicesFolder, openServicesFolder } from './services/services-folder.js'
import { startServices } from './services/start-services.js'

const say = (text) => console.error(`[test] ${text}`)
const folder = mkdtempSync(join(tmpdir(), 'countersign-test-'))
const report = join(folder, 'report.json')
const servicesFolder = openServicesFolder()
let services
let child
let interrupted

process.on('exit', () => {
  services?.stop()
  // And what tests have started for themselves, where they were killed before they could stop it.
  closeServicesFolder(servicesFolder)
  rmSync(folder, { recursive: true, force: true })
})
// The tests get the signal too and end first, while their services still answer; then the `exit` above stops these.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    interrupted = 128 + constants.signals[signal]
    if (!child) process.exit(interrupted)
    child.kill(signal)
    setTimeout(() => child.kill('SIGKILL'), 5_000).unref()
  })
}

installDependencies()
services = await startServices(say).catch((error) => {
  say(error.message)
  process.exit(1)
})
await runTests()
const { passed, failed, skipped } = countTests()
if (interrupted) process.exit(interrupted)
for (const suites of services.leftOut) say(`left out, as it could not be had: every suite that needs ${suites}`)
if (skipped > 0) say(`${skipped} skipped`)
const incomplete = process.env.CI !== undefined && services.leftOut.length > 0
if (incomplete) say('in CI nothing may be left out: this run has failed')
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed > 0 || passed === 0 || incomplete ? 1 : 0

function runTests() {
  const node = modernNode()
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  child = spawn(node, [vitest, 'run', ...reporters, ...process.argv.slice(2)], {
    cwd: root,
    // Programs that the tests start as `node` are to be this Node too.
    env: { ...process.env, ...services.environment, PATH: `${dirname(node)}:${process.env.PATH}` },
    stdio: 'inherit',
  })
  return new Promise((resolve) => child.on('exit', resolve))
}

/** A file that fails before its first test counts as one failure, and so does a run that leaves no report. */
function countTests() {
  if (!existsSync(report)) return { passed: 0, failed: 1, skipped: 0 }
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, success, testResults } = JSON.parse(
    readFileSync(report, 'utf8'),
  )
  const brokenFiles = testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((assertion) => assertion.status === 'failed'),
  )
  const failed = numFailedTests + brokenFiles.length
  return {
    passed: numPassedTests,
    // An error outside every test (an unhandled rejection) fails the run too.
    failed: failed === 0 && !success ? 1 : failed,
    skipped: numPendingTests + numTodoTests,
  }
}
