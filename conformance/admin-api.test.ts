import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeWith } from './describe-with.ts'
import { type Python, preparePython } from './python.ts'
import { type ServerUnderTest, startServerUnderTest } from './server-under-test.ts'

const checks = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_schema_conformance',
]

const environments = {
  'without a trust domain': {},
  'with a trust domain': { COUNTERSIGN_SPIFFE_TRUST_DOMAIN: 'example.org' },
}

await describeWith(preparePython, 'schemathesis on the admin API', (python) => {
  describe.each(Object.entries(environments))('%s', (_name, environment) => fuzz(python, environment))
})

function fuzz(python: Python, environment: Record<string, string>) {
  let folder: string
  let server: ServerUnderTest

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'countersign-schemathesis-'))
    server = await startServerUnderTest(environment)
    await server.addClient('svc')
  })
  afterAll(async () => {
    await server.close()
    await rm(folder, { recursive: true, force: true })
  })

  /** A revoked signing key or a revoked client may end the run's own token: such operations come last. */
  const fatal = ['--include-path-regex', '/revoke$|/revocations$']

  async function run(label: string, more: readonly string[]) {
    const { status, stdout, stderr } = await python.run(
      [
        ...['-m', 'schemathesis.cli', 'run', `${server.issuer}api/v1/openapi.json`],
        ...['--header', `Authorization: Bearer ${server.adminToken}`],
        ...['--checks', checks.join(','), '--phases', 'examples,coverage,fuzzing'],
        ...['--max-examples', '20', '--seed', '1', '--no-shrink', '--continue-on-failure', '--no-color'],
        ...['--request-timeout', '5', ...more],
      ],
      { cwd: folder, timeoutSeconds: 140, environment: { SCHEMATHESIS_HOOKS: 'fuzzing_hooks' } },
    )
    expect(status, `${label}\n${stdout.slice(-12_000)}\n${stderr.slice(-2000)}`).toBe(0)
    expect(stdout).toMatch(/Test cases:\n\s+\d+ generated/)
    return stdout
  }

  it('answers every request as its OpenAPI document says', { timeout: 150_000 }, async () => {
    const said = await run('all but revocations', ['--exclude-path-regex', fatal[1] as string])
    // Otherwise the run had lost its credential, and had tried nothing after that.
    expect(said).not.toContain('Authentication failed')
    expect(await server.admin('GET', '/clients/admin')).toMatchObject({ disabled: false })
  })

  it('answers revocations as its OpenAPI document says', { timeout: 60_000 }, () => run('revocations', fatal))
}
