import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { testFolder } from '../agent.fixture.ts'
import { AgentSettingsError, readAgentSettings } from './read-agent-settings.ts'
import { agentSettings, variableName } from './setting-table.ts'

const enough = {
  COUNTERSIGN_AGENT_SERVER: 'countersign.internal',
  COUNTERSIGN_AGENT_TRUST_DOMAIN: 'example.test',
  COUNTERSIGN_AGENT_BOOTSTRAP_BUNDLE_FILE: '/etc/countersign/bundle.pem',
  COUNTERSIGN_AGENT_NODE_JOIN_TOKEN: 'token',
}

describe('the settings of an agent', () => {
  it('are what the reference says where they are left out', async () => {
    const { attestors: _own, ...leftOut } = await readAgentSettings({ environment: enough })
    const written = agentSettings.filter(({ name, byDefault }) => byDefault && !/^(attestors|node)/.test(name))
    const environment = Object.fromEntries(written.map(({ name, byDefault }) => [variableName(name), byDefault]))
    const { attestors: _same, ...given } = await readAgentSettings({ environment: { ...enough, ...environment } })
    expect(given).toEqual(leftOut)
  })

  it('come from a file, the environment over it, and flags over both', async () => {
    const file = settingsFile(`
server: file.internal:9000
trust_domain: example.test
socket: /run/file.sock
sync_interval: 10s
bootstrap:
  bundle_url: https://countersign.internal/spiffe/bundle
node:
  k8s_psat:
    cluster: production
attestors:
  docker:
    enabled: true
    control_group_parents: [/machine.slice]
`)
    const options = await readAgentSettings({
      file,
      environment: { COUNTERSIGN_AGENT_SOCKET: '/run/environment.sock', COUNTERSIGN_AGENT_SYNC_INTERVAL: '20s' },
      flags: { sync_interval: '1m', data_dir: undefined },
    })
    expect(options).toMatchObject({
      server: 'file.internal:9000',
      trustDomain: 'example.test',
      socket: '/run/environment.sock',
      syncIntervalSeconds: 60,
      bootstrap: { bundleUrl: 'https://countersign.internal/spiffe/bundle' },
      node: { k8sPsat: { cluster: 'production' } },
      graceSeconds: 30,
    })
    expect(options.attestors.map(({ name }) => name)).toEqual(['unix', 'docker'])
  })

  it('need four variables and nothing else', async () => {
    expect(await readAgentSettings({ environment: enough })).toMatchObject({
      server: 'countersign.internal:8081',
      socket: '/run/countersign/agent.sock',
      adminSocket: '/run/countersign/agent-admin.sock',
      node: { joinToken: 'token' },
    })
  })

  it('may hold the join token in a mounted file', async () => {
    const token = join(testFolder(), 'token')
    writeFileSync(token, 'from-a-file\n')
    const { COUNTERSIGN_AGENT_NODE_JOIN_TOKEN: _token, ...rest } = enough
    const options = await readAgentSettings({ environment: { ...rest, COUNTERSIGN_AGENT_NODE_JOIN_TOKEN_FILE: token } })
    expect(options.node).toEqual({ joinTokenFile: token })
  })

  it('name each unknown or malformed one with its place and the nearest right one', async () => {
    const file = settingsFile(`
server: one.internal:8081
trust_domain: example.test
sokcet: /run/a.sock
grace: soon
bootstrap:
  insecure: true
  bundlefile: /etc/bundle.pem
`)
    const problems = await problemsOf({
      file,
      environment: { COUNTERSIGN_AGENT_SOCKETT: '/a', COUNTERSIGN_AGENT_DATA_DIR: 'relative' },
    })
    expect(problems).toEqual([
      `${file}:4:1: there is no setting "sokcet"; did you mean "socket"?`,
      `${file}:8:3: there is no setting "bootstrap.bundlefile"; did you mean "bootstrap.bundle_file"?`,
      'COUNTERSIGN_AGENT_SOCKETT: there is no such setting; did you mean "COUNTERSIGN_AGENT_SOCKET"?',
      `COUNTERSIGN_AGENT_DATA_DIR: "data_dir" must be a path from the root, like /etc/countersign/bundle.pem`,
      `${file}:5:1: "grace" must be a duration, like 5s or 1m`,
      'node.join_token_file is missing: or node.x509pop, or node.k8s_psat: without one this node cannot attest itself; give it as --node-join-token-file, in the file, or as COUNTERSIGN_AGENT_NODE_JOIN_TOKEN_FILE',
    ])
  })

  it.each([
    [
      'a bundle over plain http',
      {
        COUNTERSIGN_AGENT_BOOTSTRAP_BUNDLE_URL: 'http://countersign.internal/spiffe/bundle',
        COUNTERSIGN_AGENT_BOOTSTRAP_BUNDLE_FILE: '',
      },
      /plain http/,
    ],
    ['no way to know the server', { COUNTERSIGN_AGENT_BOOTSTRAP_BUNDLE_FILE: '' }, /by what is the server known/],
    ['two ways to know the server', { COUNTERSIGN_AGENT_BOOTSTRAP_INSECURE: 'true' }, /keep one/],
    ['two ways to attest the node', { COUNTERSIGN_AGENT_NODE_K8S_PSAT_CLUSTER: 'production' }, /keep one/],
    [
      'one socket for workloads and the operator',
      { COUNTERSIGN_AGENT_ADMIN_SOCKET: '/run/countersign/agent.sock' },
      /choose another path/,
    ],
    ['no attestor', { COUNTERSIGN_AGENT_ATTESTORS_UNIX_ENABLED: 'false' }, /leaves no attestor/],
    ['a trust domain that is none', { COUNTERSIGN_AGENT_TRUST_DOMAIN: 'Not A Domain' }, /trust_domain/],
    ['a flood of calls', { COUNTERSIGN_AGENT_SYNC_INTERVAL: '0s' }, /must be from 1 to 600/],
  ])('are refused: %s', async (_name, environment, expected) => {
    expect((await problemsOf({ environment: { ...enough, ...environment } })).join('\n')).toMatch(expected)
  })

  it('are refused in a file that others may write, or read when it holds a token', async () => {
    const text = 'server: a:1\ntrust_domain: example.test\nbootstrap: { insecure: true }\nnode: { join_token: abc }\n'
    const file = settingsFile(text)
    expect(await readAgentSettings({ file, environment: {} })).toMatchObject({ node: { joinToken: 'abc' } })
    chmodSync(file, 0o644)
    expect((await problemsOf({ file, environment: {} })).join()).toContain('chmod 600')
    chmodSync(file, 0o622)
    expect((await problemsOf({ file, environment: {} })).join()).toContain('chmod go-w')
  })

  it('say of a file that cannot be read nothing else', async () => {
    const broken = settingsFile('server: a\n  - b: "')
    expect(await problemsOf({ file: '/nowhere/agent.yaml', environment: {} })).toEqual([
      '/nowhere/agent.yaml: there is no such file',
    ])
    expect(await problemsOf({ file: broken, environment: {} })).toHaveLength(1)
  })

  it('do not say that what was given twice is missing', async () => {
    const problems = await problemsOf({ environment: { ...enough, COUNTERSIGN_AGENT_NODE_K8S_PSAT_CLUSTER: 'prod' } })
    expect(problems).toHaveLength(1)
  })

  it('never show the token in what they say is wrong', async () => {
    const environment = {
      ...enough,
      COUNTERSIGN_AGENT_NODE_JOIN_TOKEN: 'canary-token',
      COUNTERSIGN_AGENT_NODE_K8S_PSAT_CLUSTER: 'x',
    }
    expect((await problemsOf({ environment })).join()).not.toContain('canary-token')
  })
})

function settingsFile(text: string): string {
  const file = join(testFolder(), 'agent.yaml')
  writeFileSync(file, text, { mode: 0o600 })
  return file
}

async function problemsOf(sources: Parameters<typeof readAgentSettings>[0]): Promise<readonly string[]> {
  const error = await readAgentSettings(sources).then(
    () => undefined,
    (thrown) => thrown,
  )
  expect(error).toBeInstanceOf(AgentSettingsError)
  return (error as AgentSettingsError).problems
}
