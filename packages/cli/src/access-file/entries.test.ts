import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CliServer, startCliServer } from '../cli.fixture.ts'

const hash = 'ab'.repeat(32)
const node = 'spiffe://shop.example/spire/agent/x509pop/a'
const file = `
entries:
  - spiffe_id: spiffe://shop.example/rack
    parent_id: spiffe://shop.example/spire/server
    selectors: ['x509pop:subject:cn:a']
  - spiffe_id: spiffe://shop.example/order
    parent_id: spiffe://shop.example/rack
    selectors: ['unix:user:order', 'unix:path:/usr/bin/order']
    x509_svid_ttl: 15m
    dns_names: [order.shop.example]
    federates_with: [bank.example]
    expires_at: 2099-01-31T13:00:00+01:00
    policy:
      not_root: true
      binary_sha256: ['${hash}']
      node_attested_within: 1d
`

describe('entries in an access file', () => {
  let cli: CliServer
  beforeAll(async () => {
    cli = await startCliServer({ spiffe: { trustDomain: 'shop.example' } })
  })
  afterAll(() => cli.close())

  const apply = (text: string, options = '') => cli.run(`apply -f - ${options}`.trim(), { stdin: text })
  const entries = async () => (await cli.run('workload list --json')).json.items

  it('are shown, made, and not touched the second time', async () => {
    const dry = await apply(file, '--dry-run')
    expect(dry.stdout).toContain(
      '+ entry spiffe://shop.example/order below spiffe://shop.example/rack for unix:path:/usr/bin/order, unix:user:order',
    )
    expect(dry.stdout).toContain('    x509_svid_ttl: 15m\n')
    expect(dry.stdout).toContain('    policy: {"binary_sha256"')
    expect(dry.stdout).not.toContain('jwt_svid_ttl')
    expect(await entries()).toEqual([])
    expect((await apply(file)).stdout).toContain('2 created.')
    expect((await apply(file)).stdout).toBe('Nothing to change: the server is as the file says.\n')
    expect(await entries()).toMatchObject(
      expect.arrayContaining([
        expect.objectContaining({
          spiffe_id: 'spiffe://shop.example/order',
          x509_svid_ttl: 900,
          expires_at: '2099-01-31T12:00:00Z',
          policy: { binary_sha256: [hash], not_root: true, node_attested_within: 86_400 },
          revision_number: 0,
        }),
      ]),
    )
  })

  it('are changed where they are known by SPIFFE ID, parent and selectors, in any order', async () => {
    const changed = file
      .replace("['unix:user:order', 'unix:path:/usr/bin/order']", "['unix:path:/usr/bin/order', 'unix:user:order']")
      .replace('15m', '20m')
      .replace('      not_root: true\n', '')
    const { stdout } = await apply(changed)
    expect(stdout).toContain('x509_svid_ttl: 15m -> 20m')
    expect(stdout).toContain('1 changed.')
    const order = (await entries()).find(({ spiffe_id }: { spiffe_id: string }) => spiffe_id.endsWith('order'))
    expect(order).toMatchObject({ revision_number: 1, policy: { binary_sha256: [hash], node_attested_within: 86_400 } })
    await apply(file)
  })

  it('are exported as apply takes them, without those that joining makes', async () => {
    const token = (await cli.run('node token create --spiffe-id spiffe://shop.example/second --json')).json.token
    const { nodeAttestors, nodes } = cli.server.authority.workloadIdentity!
    const node = await nodeAttestors[0]!.attest(Buffer.from(token), async () => Buffer.alloc(0), Buffer.from('key'))
    const notAfter = Math.floor(Date.now() / 1000) + 3600
    await nodes.attested({ ...node, type: 'join_token', serialNumber: 'aa', notAfter })
    expect(await entries()).toHaveLength(3)
    const { stdout } = await cli.run('export')
    expect(stdout).not.toContain(token)
    expect(stdout).toContain('x509_svid_ttl: 15m')
    await writeFile(join(cli.folder, 'all.yaml'), stdout)
    expect((await cli.run('apply -f all.yaml --prune --dry-run --json')).json.changes).toEqual([])
    expect((await cli.run('export --json')).json.entries).toHaveLength(2)
  })

  it('stay where the file does not name them, until it is told to prune', async () => {
    await cli.run(`workload create --spiffe-id spiffe://shop.example/old --parent-id ${node} --selector unix:uid:1`)
    expect((await apply(file)).stdout).toContain('Nothing to change')
    const pruned = await apply(file, '--prune --json')
    const named = pruned.json.changes.filter(({ kind }: { kind: string }) => kind === 'entry')
    expect(named).toMatchObject([{ action: 'delete', name: expect.stringContaining('spiffe://shop.example/old') }])
    expect(await entries()).toHaveLength(3)
  })

  it('are refused with every mistake named', async () => {
    const { code, stderr } = await apply(`
entries:
  - spiffe_id: spiffe://shop.example/a
    parent: ${node}
    selectors: []
  - spiffe_id: spiffe://shop.example/b
    parent_id: ${node}
    selectors: ['unix:uid:1', 'unix:uid:2']
    x509_svid_ttl: soon
    expires_at: tomorrow
    policy:
      not_rot: true
  - spiffe_id: spiffe://shop.example/b
    parent_id: ${node}
    selectors: ['unix:uid:2', 'unix:uid:1']
`)
    expect(code).toBe(2)
    for (const told of [
      'stdin:4: there is no key "parent" in an entry; did you mean "parent_id"?',
      'stdin:3: "parent_id" is missing in an entry',
      'stdin:5: an entry without selectors would be every workload',
      'stdin:9: x509_svid_ttl "soon" is not a duration',
      'stdin:10: "tomorrow" is not a time',
      'stdin:12: there is no key "not_rot"',
      'stdin:13: an entry with this spiffe_id, parent_id and selectors is there already',
    ]) {
      expect(stderr).toContain(told)
    }
  })

  it('are told of by an administrator who may not see them, and left alone', async () => {
    const { client_secret: secret } = (await cli.run('client create --id auditor --with-secret --json')).json
    await cli.run('client grant auditor --api urn:countersign:admin --scope clients:read --scope apis:read')
    const env = { COUNTERSIGN_CLIENT_ID: 'auditor', COUNTERSIGN_CLIENT_SECRET: secret }
    const exported = await cli.run('export', { env })
    expect(exported.code).toBe(0)
    expect(exported.stdout).not.toMatch(/^entries:/m)
    expect(exported.stderr).toContain('entries:read')
    const applied = await cli.run('apply -f - --dry-run', { env, stdin: file })
    expect(applied.code).toBe(1)
    expect(applied.stderr).toContain('entries:read')
  })
})

describe('a server without a trust domain', () => {
  it('exports no entries, and says how to have some when they are applied', async () => {
    const cli = await startCliServer()
    const exported = await cli.run('export')
    expect(exported).toMatchObject({ code: 0, stderr: '' })
    expect(exported.stdout).not.toMatch(/^entries:/m)
    const { code, stderr } = await cli.run('apply -f -', { stdin: file })
    expect(code).toBe(1)
    expect(stderr).toContain('spiffe.trust_domain')
    await cli.close()
  })
})
