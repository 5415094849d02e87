import { describe, expect, it } from 'vitest'
import { runCli } from './cli.fixture.ts'

const commands = [
  'dev',
  'server',
  'login',
  'api create',
  'api list',
  'api get',
  'api update',
  'api delete',
  'client create',
  'client list',
  'client get',
  'client update',
  'client delete',
  'client secret create',
  'client secret list',
  'client secret revoke',
  'client key add',
  'client key list',
  'client key remove',
  'client grant',
  'client ungrant',
  'client grants',
  'apply',
  'export',
  'token get',
  'token inspect',
  'token revoke',
  'service keygen',
  'service register',
  'service unregister',
  'service list',
  'service get',
  'key list',
  'key rotate',
  'key revoke',
  'agent',
  'workload create',
  'workload list',
  'workload get',
  'workload update',
  'workload delete',
  'workload import',
  'workload explain',
  'node list',
  'node get',
  'node ban',
  'node evict',
  'node token create',
  'node token list',
  'node token delete',
  'svid fetch x509',
  'svid fetch jwt',
  'svid watch',
  'bundle show',
  'bundle list',
  'bundle set',
  'bundle delete',
  'ca list',
  'ca prepare',
  'ca activate',
  'ca rotate',
  'ca taint',
  'ca revoke',
  'cert issue',
  'audit tail',
  'audit search',
  'audit head',
  'audit verify',
  'backup',
  'restore',
  'doctor',
]

it.each(commands)('countersign %s explains itself with an example, and has --json', async (command) => {
  const { code, stdout, stderr } = await runCli([...command.split(' '), '--help'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(new RegExp(`Example:\n  \\$ .*countersign ${command}`))
  expect(stdout).toContain('--json')
})

it('lists every command in its help', async () => {
  const { code, stdout } = await runCli(['--help'])
  expect(code).toBe(0)
  for (const command of commands) expect(stdout).toMatch(new RegExp(`^  ${command.split(' ')[0]} `, 'm'))
})

describe('wrong use', () => {
  it.each([
    [['api', 'creat'], 'did you mean create?'],
    [['nonsense'], 'unknown command "nonsense"'],
    [['api', 'create'], 'required option "--audience <url>" not specified'],
    [['api', 'list', '--limt', '3'], 'did you mean --limit?'],
    [['api', 'list', '--limit', 'many'], 'is invalid: it must be a whole number'],
    [['api', 'create', '--audience', 'x', '--token-ttl', 'long'], 'is not a duration'],
    [['api', 'create', '--audience', 'x', '--signing-alg', 'HS256'], 'Allowed choices are ES256, RS256, EdDSA'],
    [['client', 'get'], 'missing required argument "client"'],
    [['client', 'get', 'a', 'b'], 'too many arguments'],
    [['client', 'key', 'add', 'a'], 'exactly one of --jwk FILE, --jwks-url URL, --generate FILE'],
    [['api', 'create', '--audiance', 'https://a.example'], 'did you mean --audience?'],
    [['service', 'register', 'order'], 'required option "--jwk <file>" not specified'],
    [['workload', 'create', '--spiffe-id', 'spiffe://a/b'], 'required option "--parent-id <id>" not specified'],
    [['workload', 'update', 'e'], 'there is nothing to change'],
    [['workload', 'update', 'e', '--no-policy', '--not-root'], '--no-policy takes the policy away'],
    [['workload', 'explain', 'nginx'], 'is no process id'],
    [['svid', 'watch', '--reload', 'true'], '--reload is run after files have changed; add --write FOLDER'],
    [['cert', 'issue', '--out', 'x'], 'name what the certificate is for'],
    [['cert', 'issue', '--out', 'x', '--common-name', 'a', '--reload', 'true'], 'add --renew'],
    [['ca', 'rotate', '--kind', 'rsa'], 'Allowed choices are x509, jwt'],
    [['audit', 'search', '--since', 'yesterday'], 'is not a time'],
    [['api', 'list', '--url', 'localhost'], 'is not a URL'],
    [['api', 'list'], 'no server is named'],
    [['backup', 'x'], 'name its configuration with --config FILE'],
    [['dev', '--port', '99999'], 'is no port'],
  ])('%j is one sentence on stderr and exit 2', async (args, message) => {
    const { code, stdout, stderr } = await runCli(args, { cwd: '/' })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(message)
    expect(stderr).toMatch(/^error: [^\n]+\n$/)
  })

  it.each([[[]], [['api']], [['client', 'secret']]])(
    '%j without what to do shows the help on stderr and exits 2',
    async (args) => {
      const { code, stdout, stderr } = await runCli(args)
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
      expect(stderr).toContain('Commands:')
    },
  )
})

it('exits 1 and names the cure where nothing listens', async () => {
  const env = {
    COUNTERSIGN_URL: 'http://localhost:9',
    COUNTERSIGN_CLIENT_ID: 'a',
    COUNTERSIGN_CLIENT_SECRET: 'canary-secret',
  }
  const { code, stdout, stderr } = await runCli(['api', 'list'], { env })
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toMatch(/^error: nothing answers at http:\/\/localhost:9; start the server[^\n]+\n$/)
})
