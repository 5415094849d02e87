import { existsSync, readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { root } from './modern-node.js'

/**
 * What a run's JSON report says. A file that fails before its first test counts as one failure, and so does a run that
 * leaves no report.
 * @returns {{ passed: number, failed: number, skipped: string[] }} the skipped ones by name
 */
export function countTests(file) {
  if (!existsSync(file)) return { passed: 0, failed: 1, skipped: [] }
  const { numPassedTests, numFailedTests, success, testResults } = JSON.parse(readFileSync(file, 'utf8'))
  const brokenFiles = testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((assertion) => assertion.status === 'failed'),
  )
  const failed = numFailedTests + brokenFiles.length
  return {
    passed: numPassedTests,
    // An error outside every test (an unhandled rejection) fails the run too.
    failed: failed === 0 && !success ? 1 : failed,
    skipped: testResults.flatMap(({ name, assertionResults }) =>
      assertionResults
        .filter(({ status }) => status !== 'passed' && status !== 'failed')
        .map(({ fullName }) => `${relative(root, name)}: ${fullName}`),
    ),
  }
}
