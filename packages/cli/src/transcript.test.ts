import { stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CliServer, startCliServer } from './cli.fixture.ts'

let cli: CliServer
beforeAll(async () => {
  cli = await startCliServer()
})
afterAll(() => cli.close())

describe('countersign api', () => {
  it('creates, shows, lists, changes and deletes an API', async () => {
    const created = await cli.run(
      'api create --audience https://a.example.com --scope read:a=Read --scope write:a --signing-alg EdDSA --token-ttl 30m --json',
    )
    expect(created.json).toMatchObject({
      audience: 'https://a.example.com',
      name: 'https://a.example.com',
      scopes: [
        { name: 'read:a', description: 'Read' },
        { name: 'write:a', description: '' },
      ],
      signing_alg: 'EdDSA',
      token_ttl: 1800,
    })
    const changed = await cli.run(
      'api update https://a.example.com --token-ttl 1h --add-scope void:a=Void --remove-scope write:a --json',
    )
    expect(changed.json).toMatchObject({ token_ttl: 3600, scopes: [{ name: 'read:a' }, { name: 'void:a' }] })
    const shown = await cli.run('api get https://a.example.com')
    expect(shown.stdout).toMatch(/^tokens live: +1h$/m)
    const listed = await cli.run('api list --json')
    expect(listed.json.items.map(({ audience }: { audience: string }) => audience)).toContain('https://a.example.com')
    expect(listed.json.next).toBeNull()
    expect((await cli.run('api delete https://a.example.com --json')).json).toEqual({
      id: 'https://a.example.com',
      deleted: true,
    })
    const gone = await cli.run('api get https://a.example.com')
    expect(gone).toMatchObject({ code: 1, stdout: '' })
    expect(gone.stderr).toMatch(/^error: there is no API .*; see what there is with: countersign api list\n$/)
  })

  it('adds and removes who may introspect, and leaves the others', async () => {
    await cli.run('client create --id asks')
    await cli.run('api create --audience https://i.example.com --introspector admin')
    const added = await cli.run('api update https://i.example.com --add-introspector asks --json')
    expect(added.json.introspectors).toEqual(['admin', 'asks'])
    const removed = await cli.run('api update https://i.example.com --remove-introspector admin --json')
    expect(removed.json.introspectors).toEqual(['asks'])
  })

  it('says of a second API with the same audience how to change the first', async () => {
    await cli.run('api create --audience https://twice.example.com')
    const second = await cli.run('api create --audience https://twice.example.com')
    expect(second.code).toBe(1)
    expect(second.stderr).toMatch(
      /^error: there is an API https:\/\/twice.example.com already; .*countersign api update/,
    )
  })

  it('tells every fault of what the server finds invalid', async () => {
    const { code, stderr } = await cli.run('api create --audience x#y --token-ttl 400d')
    expect(code).toBe(1)
    expect(stderr).toMatch(/audience.*token_ttl/)
    expect(stderr.trim().split('\n')).toHaveLength(1)
  })
})

describe('countersign client', () => {
  it('creates, changes, lists by prefix page by page, and deletes a client', async () => {
    for (const id of ['page-1', 'page-2', 'page-3']) await cli.run(`client create --id ${id}`)
    const first = await cli.run('client list --prefix page- --limit 2 --json')
    expect(first.json.items.map(({ id }: { id: string }) => id)).toEqual(['page-1', 'page-2'])
    const rest = await cli.run(`client list --prefix page- --cursor ${first.json.next} --json`)
    expect(rest.json).toMatchObject({ items: [{ id: 'page-3' }], next: null })
    expect((await cli.run('client update page-1 --disabled --json')).json.disabled).toBe(true)
    expect((await cli.run('client update page-1 --enabled --json')).json.disabled).toBe(false)
    expect((await cli.run('client update page-1 --enabled --disabled')).code).toBe(2)
    expect((await cli.run('client delete page-1')).stderr).toBe('Client page-1 is deleted.\n')
  })

  it('prints a new secret once, and lists it without its value', async () => {
    await cli.run('client create --id secretive')
    const made = await cli.run('client secret create secretive --label q1 --expires-in 90d --json')
    expect(made.json.client_secret).toMatch(/^cs_secret_/)
    expect(Date.parse(made.json.expires_at) - Date.parse(made.json.created_at)).toBe(90 * 86_400_000)
    const token = (secret: string) =>
      cli.run('token get --client-id secretive --audience urn:x', { env: { COUNTERSIGN_CLIENT_SECRET: secret } })
    expect((await token(made.json.client_secret)).stderr).toContain('has no grant for urn:x')
    const listed = await cli.run('client secret list secretive --json')
    expect(listed.stdout).not.toContain('cs_secret_')
    expect(listed.json.items).toMatchObject([{ id: made.json.id, label: 'q1', expired: false }])
    expect((await cli.run(`client secret revoke secretive ${made.json.id} --json`)).json).toMatchObject({
      revoked: true,
    })
    expect((await token(made.json.client_secret)).stderr).toContain('does not accept this credential')
  })

  it('keeps a generated private key to its owner, and gets a token with it', async () => {
    await cli.run('api create --audience https://keys.example.com --scope a')
    await cli.run('client create --id keyed')
    await cli.run('client grant keyed --api https://keys.example.com --scope a')
    for (const file of ['key.jwk', 'key.pem']) {
      const added = await cli.run(`client key add keyed --generate ${file} --alg EdDSA --json`)
      expect(added.json).toMatchObject({ client_id: 'keyed', algorithm: 'EdDSA' })
      expect(added.stdout).not.toContain('"d"')
      expect((await stat(join(cli.folder, file))).mode & 0o777).toBe(0o600)
      const token = await cli.run(`token get --client-id keyed --private-key-file ${file} --json`, {
        env: { COUNTERSIGN_CLIENT_SECRET: '' },
      })
      expect(token.json).toMatchObject({ token_type: 'Bearer', scope: 'a' })
    }
    const again = await cli.run('client key add keyed --generate key.jwk')
    expect(again).toMatchObject({ code: 1, stdout: '' })
    const [key] = (await cli.run('client key list keyed --json')).json.items
    expect((await cli.run(`client key remove keyed ${key.kid} --json`)).json).toMatchObject({
      kid: key.kid,
      removed: true,
    })
  })

  it('refuses to send a private key where a public one is due', async () => {
    await cli.run('client create --id leaky')
    await cli.run('client key add leaky --generate leaky.jwk')
    const { code, stderr } = await cli.run('client key add leaky --jwk leaky.jwk')
    expect(code).toBe(2)
    expect(stderr).toContain('private member')
    await cli.run('client key add leaky --generate leaky.pem')
    expect((await cli.run('client key add leaky --jwk leaky.pem')).stderr).toContain('is a private key')
  })

  it('grants scopes besides those there are, and takes away single ones or all', async () => {
    await cli.run('api create --audience https://grants.example.com --scope a --scope b --scope c')
    await cli.run('client create --id granted')
    const grant = (words: string) => cli.run(`client ${words} --api https://grants.example.com --json`)
    expect((await grant('grant granted --scope a')).json.scopes).toEqual(['a'])
    expect((await grant('grant granted --scope b --scope c')).json.scopes).toEqual(['a', 'b', 'c'])
    expect((await grant('ungrant granted --scope b')).json.scopes).toEqual(['a', 'c'])
    expect((await grant('grant granted --replace --scope b')).json.scopes).toEqual(['b'])
    expect((await grant('ungrant granted --scope c')).code).toBe(1)
    const wrong = await grant('grant granted --scope nope')
    expect(wrong.stderr).toMatch(/nope.*a b c/)
    expect((await grant('ungrant granted')).json).toMatchObject({ deleted: true })
    expect((await cli.run('client grants granted --json')).json.items).toEqual([])
  })
})

describe('countersign key', () => {
  it('rotates and revokes signing keys', async () => {
    const rotated = await cli.run('key rotate --alg ES256 --json')
    expect(rotated.json).toMatchObject({ algorithm: 'ES256', status: 'active' })
    const revoked = await cli.run(`key revoke ${rotated.json.kid} --json`)
    expect(revoked.json).toMatchObject({ kid: rotated.json.kid, status: 'revoked' })
    const statuses = (await cli.run('key list --json')).json.items.map(({ status }: { status: string }) => status)
    expect(statuses).toEqual(expect.arrayContaining(['active', 'retired', 'revoked']))
    expect((await cli.run('key revoke nope')).stderr).toContain('countersign key list')
  })
})

describe('an administrator who may not do all', () => {
  it('is told which scope is missing, and how it is granted', async () => {
    const { client_secret: secret } = (await cli.run('client create --id reader --with-secret --json')).json
    await cli.run('client grant reader --api urn:countersign:admin --scope clients:read')
    const env = { COUNTERSIGN_CLIENT_ID: 'reader', COUNTERSIGN_CLIENT_SECRET: secret }
    expect((await cli.run('client list', { env })).code).toBe(0)
    const { code, stderr } = await cli.run('client delete reader', { env })
    expect(code).toBe(1)
    expect(stderr).toContain('countersign client grant reader --api urn:countersign:admin --scope clients:write')
  })
})

describe('what others wrote', () => {
  it('cannot move the cursor or colour the terminal', async () => {
    await cli.server.authority.store.database
      .updateTable('clients')
      .set({ name: 'a\u001b[31mb\u009b1mc\u202ed' })
      .where('id', '=', 'leaky')
      .execute()
    const shown = await cli.run('client get leaky')
    expect(shown.stdout).toContain('a\\u001b[31mb\\u009b1mc\\u202ed')
    const json = await cli.run('client get leaky --json')
    for (const character of '\u001b\u009b\u202e') expect(json.stdout).not.toContain(character)
    expect(json.json.name).toBe('a\u001b[31mb\u009b1mc\u202ed')
  })
})

describe('countersign apply and export', () => {
  const access = `
apis:
  - audience: https://stock.example.com
    name: Stock
    scopes:
      read:stock: Read the stock
      write:stock:
    token_ttl: 15m
clients:
  - id: svc-orders
    grants:
      https://stock.example.com: [read:stock]
`
  const apply = (text: string, options = '') => cli.run(`apply -f - ${options}`.trim(), { stdin: text })

  it('shows the difference, makes it, and changes nothing the second time', async () => {
    const dry = await apply(access, '--dry-run')
    expect(dry.stdout).toMatch(/^\+ api https:\/\/stock\.example\.com$/m)
    expect(dry.stdout).toMatch(/^\+ grant svc-orders at https:\/\/stock\.example\.com$/m)
    expect(dry.stdout).toContain('3 to create. Nothing was changed')
    expect((await cli.run('api get https://stock.example.com')).code).toBe(1)
    expect((await apply(access)).stdout).toContain('3 created.')
    expect((await apply(access)).stdout).toBe('Nothing to change: the server is as the file says.\n')
    expect((await apply(access, '--json')).json).toEqual({ applied: true, changes: [] })
  })

  it('exports what apply takes, without a single change', async () => {
    await writeFile(join(cli.folder, 'all.yaml'), (await cli.run('export')).stdout)
    expect((await cli.run('apply -f all.yaml --prune --dry-run --json')).json.changes).toEqual([])
  })

  it('prunes what the file does not name, but never the admin API and the client it acts as', async () => {
    const pruned = await apply(access, '--prune --json')
    expect(pruned.code).toBe(0)
    const names = pruned.json.changes.map(({ kind, name }: { kind: string; name: string }) => `${kind} ${name}`)
    expect(names).toContain('client granted')
    expect(names).not.toContain('client admin')
    expect(names).not.toContain('api urn:countersign:admin')
    const left = await cli.run('client list --json')
    expect(left.json.items.map(({ id }: { id: string }) => id)).toEqual(['admin', 'svc-orders'])
    // Named without its grants, the acting client still keeps the grant that it needs to go on.
    expect(
      (await apply(`${access}  - id: admin\n    name: Bootstrap administrator\n`, '--prune --json')).json.changes,
    ).toEqual([])
  })

  it('names line, key and the nearest right one for every mistake', async () => {
    const { code, stderr } = await apply('apis:\n  - audiance: https://x\n    token_ttl: forever\nclient:\n  - id: a\n')
    expect(code).toBe(2)
    expect(stderr).toContain('stdin:2: there is no key "audiance" in an API; did you mean "audience"?')
    expect(stderr).toContain('stdin:3: token_ttl "forever" is not a duration')
    expect(stderr).toContain('stdin:4: there is no key "client" in an access file; did you mean "clients"?')
  })

  it('finds a grant of a scope that does not exist before it changes anything', async () => {
    const { code, stderr } = await apply(
      'clients:\n  - id: new-one\n    grants:\n      https://stock.example.com: [read:stok]\n',
    )
    expect(code).toBe(1)
    expect(stderr).toContain('stdin:4: client new-one is granted read:stok')
    expect(stderr).toContain('did you mean "read:stock"?')
    expect((await cli.run('client get new-one')).code).toBe(1)
  })

  it('does not disable the client it acts as', async () => {
    const { code, stderr } = await apply('clients:\n  - id: admin\n    disabled: true\n')
    expect(code).toBe(1)
    expect(stderr).toContain('which you are acting as')
  })
})
