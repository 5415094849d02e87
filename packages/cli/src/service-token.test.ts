import { readFile, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createServiceSigner } from '@countersign/client'
import { createGuard, createServiceTokenVerifier } from '@countersign/guard'
import { httpBinding, parseJwt } from '@countersign/tokens'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CliServer, type Ran, type RunOptions, runCli, startCliServer } from './cli.fixture.ts'

const message = Buffer.from([8, 1, 0, 255, 10, 13])
let cli: CliServer
let pem: string
/** What the sender's environment holds; none of the administrator's */
let sender: Record<string, string>

beforeAll(async () => {
  cli = await startCliServer()
  const { json: jwk } = await cli.run('service keygen --out order.pem')
  await cli.run('service register order --jwk -', { stdin: JSON.stringify(jwk) })
  await writeFile(join(cli.folder, 'message.bin'), message)
  pem = await readFile(join(cli.folder, 'order.pem'), 'utf8')
  sender = { SERVICE_SHORT_NAME: 'order', SERVICE_SECRET_KEY_FILE: 'order.pem' }
})
afterAll(() => cli.close())

const keys = () => ({ JWKS_URL: `${cli.server.url}/$service/.well-known/jwks.json` })

const create = (args: string[], env: Record<string, string> = sender, options: RunOptions = {}) =>
  runCli(['service', 'token', 'create', ...args], { cwd: cli.folder, env, ...options })

const verify = (args: string[], env: Record<string, string> = {}, options: RunOptions = {}) =>
  runCli(['service', 'token', 'verify', ...args], { cwd: cli.folder, env: { ...keys(), ...env }, ...options })

async function tokenFor(args: string[], env?: Record<string, string>): Promise<string> {
  const { code, stdout, stderr } = await create(args, env)
  expect(code, stderr).toBe(0)
  return stdout.trim()
}

/** One line on stderr that is an error, and nothing on stdout. */
function wrong({ code, stdout, stderr }: Ran): [number | null, string] {
  expect(stdout).toBe('')
  expect(stderr).toMatch(/^error: [^\n]+\n$/)
  return [code, stderr]
}

const stock = ['--method', 'POST', '--target', '/v1/stock?sku=1', '--body', '{"n":1}']

describe('countersign service token create', () => {
  it('prints a token that the guard of the receiver takes, once', async () => {
    const { code, stdout, stderr } = await create(['--to', 'inventory-service', ...stock])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/)
    expect(stderr).toBe(
      'Good for 60 s, once at inventory-service, for POST /v1/stock?sku=1. Send it as the header x-m2m-token.\n',
    )
    const used = new Set<string>()
    const verifier = createServiceTokenVerifier({
      name: 'inventory',
      keys: keys().JWKS_URL,
      uses: { use: (id) => (used.size === used.add(id).size ? 'used' : 'first') },
    })
    const call = {
      transport: 'http',
      method: 'POST',
      target: '/v1/stock?sku=1',
      content: Buffer.from('{"n":1}'),
    } as const
    expect(await verifier.verify(stdout.trim(), call)).toMatchObject({
      clientId: 'order-service',
      method: 'service_token',
    })
    await expect(verifier.verify(stdout.trim(), call)).rejects.toMatchObject({ reason: 'replayed' })
  })

  it('prints claims with --json, and the tenant among them', async () => {
    const { json } = await create(['--to', 'inventory', ...stock, '--tenant', 'shop', '--json'])
    expect(json).toEqual({ token: expect.any(String), header: expect.any(Object), claims: expect.any(Object) })
    expect(parseJwt(json.token)).toMatchObject({ header: json.header, claims: json.claims })
    expect(json.claims).toMatchObject({ sub: 'order-service', aud: 'inventory-service', tenant: 'shop' })
  })

  it('takes the method from the body, and the body from a file or standard input, byte for byte', async () => {
    const digest = (content: Uint8Array) => httpBinding({ method: 'GET', target: '/', content }).digest
    const reqOf = async (...args: string[]) =>
      (await create(['--to', 'a', '--target', '/', ...args, '--json'])).json.claims.req
    expect(await reqOf()).toEqual({ method: 'GET', target: '/', digest: digest(new Uint8Array()) })
    expect(await reqOf('--body', '')).toMatchObject({ method: 'POST', digest: digest(new Uint8Array()) })
    expect(await reqOf('--body-file', 'message.bin')).toMatchObject({ method: 'POST', digest: digest(message) })
    expect(await reqOf('--method', 'delete', '--body', 'ü\r\n')).toMatchObject({
      method: 'DELETE',
      digest: digest(Buffer.from('ü\r\n')),
    })
    const piped = await create(['--to', 'a', '--target', '/', '--body-file', '-', '--json'], sender, { stdin: 'x\n' })
    expect(piped.json.claims.req.digest).toBe(digest(Buffer.from('x\n')))
  })

  it('names an origin outside of the directory, and the topic of a record', async () => {
    const audienceOf = async (...args: string[]) => (await create([...args, '--json'])).json.claims.aud
    expect(await audienceOf('--to', 'https://api.example.com', '--target', '/')).toBe('https://api.example.com')
    expect(await audienceOf('--topic', 'orders.created', '--message', '{}')).toBe('kafka:orders.created')
  })

  it('says where the token belongs', async () => {
    const said = async (...args: string[]) => (await create(args)).stderr
    expect(await said('--topic', 't', '--message', '{}')).toContain('the member M2MToken of the message')
    expect(await said('--topic', 't', '--carrier', 'header')).toContain(
      'without a value. Send it as the record header m2m-token',
    )
    expect(await said('--rpc', '/a.B/c', '--to', 'x', '--message-file', 'message.bin')).toContain(
      'the metadata x-m2m-token',
    )
    expect(await said('--rpc', '/a.B/c', '--to', 'x')).toContain('stream of requests')
    expect(await said('--profile', 'md5', '--target', '/x')).toContain('Good for 900 s, any number of times')
  })

  it('takes the key from SERVICE_SECRET_KEY too, spelled on one line, and the lifetime from M2M_TOKEN_TTL', async () => {
    const env = {
      SERVICE_SHORT_NAME: 'order-service',
      SERVICE_SECRET_KEY: `"${pem.replaceAll('\n', '\\n')}"`,
      M2M_TOKEN_TTL: '2m',
    }
    const { claims } = (await create(['--to', 'inventory', '--target', '/', '--json'], env)).json
    expect(claims.exp - claims.iat).toBe(120)
    expect(claims.sub).toBe('order-service')
  })

  it.each<[string, string[], string]>([
    ['no call', [], '--method and --target for HTTP'],
    ['two calls', ['--target', '/', '--topic', 't'], 'each needs a token of its own'],
    ['an option of another transport', ['--target', '/', '--key', 'k'], '--key goes with --topic'],
    ['no receiver', ['--target', '/'], '--to is missing'],
    ['a receiver that is none', ['--target', '/', '--to', 'A b'], 'such as inventory-service'],
    ['an address as receiver', ['--target', '/', '--to', 'https://a.example/x'], 'no origin'],
    ['a fragment', ['--target', '/a#b', '--to', 'a'], 'without fragment'],
    ['a target that is not on any wire', ['--target', '/ü', '--to', 'a'], 'percent-encoded'],
    ['a relative target', ['--target', 'a', '--to', 'a'], 'from / on'],
    ['a method that is none', ['--target', '/', '--to', 'a', '--method', 'G T'], 'no method of HTTP'],
    ['two bodies', ['--target', '/', '--to', 'a', '--body', 'x', '--body-file', 'y'], 'give one of them'],
    ['a message that is not JSON', ['--topic', 't', '--message', 'x'], '--carrier header'],
    ['an array', ['--topic', 't', '--message', '[]'], '--carrier header'],
    ['a member twice', ['--topic', 't', '--message', '{"a":1,"a":2}'], 'not a JSON object'],
    ['no message', ['--topic', 't'], '--message is missing'],
    ['a topic that is none', ['--topic', 'a b', '--message', '{}'], 'no name of a topic'],
    ['a message of gRPC as text', ['--rpc', '/a.B/c', '--to', 'a', '--message', '{}'], '--message-file'],
    ['half a method of gRPC', ['--rpc', 'c', '--to', 'a'], '/shop.Inventory/DecreaseStock'],
    ['gRPC in the md5 profile', ['--rpc', '/a.B/c', '--profile', 'md5'], 'no form for gRPC'],
    ['a tenant in the md5 profile', ['--target', '/', '--profile', 'md5', '--tenant', 'a'], 'carry no tenant'],
    ['a body that md5 cannot bind', ['--target', '/', '--profile', 'md5', '--body', 'x'], 'JSON bodies only'],
    ['another profile', ['--target', '/', '--profile', 'md4'], 'm2m, md5'],
    ['a key as an argument', ['--target', '/', '--to', 'a', '--secret-key', 'x'], 'unknown option'],
  ])('is wrong use with %s', async (_, args, says) => {
    const [code, stderr] = wrong(await create(args))
    expect(code).toBe(2)
    expect(stderr).toContain(says)
  })

  it('says which variable is missing or wrong, and shows no key', async () => {
    const args = ['--to', 'inventory', '--target', '/']
    const cases: [Record<string, string>, string][] = [
      [{}, 'SERVICE_SHORT_NAME is not set'],
      [
        { SERVICE_SHORT_NAME: 'order' },
        'neither SERVICE_SECRET_KEY nor SERVICE_SECRET_KEY_FILE is set; make a key with: countersign service keygen',
      ],
      [{ SERVICE_SHORT_NAME: 'Order!', SERVICE_SECRET_KEY: pem }, 'SERVICE_SHORT_NAME'],
      [{ SERVICE_SHORT_NAME: 'order', SERVICE_SECRET_KEY: `canary${pem.slice(60)}` }, 'SERVICE_SECRET_KEY'],
      [{ SERVICE_SHORT_NAME: 'order', SERVICE_SECRET_KEY_FILE: 'absent.pem' }, 'absent.pem cannot be read (ENOENT)'],
      [{ ...sender, SERVICE_SECRET_KEY: pem }, 'unset one of them'],
      [{ ...sender, M2M_TOKEN_TTL: '1h' }, 'M2M_TOKEN_TTL'],
    ]
    for (const [env, says] of cases) {
      const [code, stderr] = wrong(await create(args, env))
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(says) })
      expect(stderr).not.toContain('canary')
      expect(stderr).not.toContain(pem.split('\n')[1])
    }
  })
})

describe('countersign service token verify', () => {
  const calls: [string, string[], string[]][] = [
    ['a request', ['--to', 'inventory-service', ...stock], []],
    ['a request with a tenant', ['--to', 'inventory-service', ...stock, '--tenant', 'shop'], []],
    ['a message with its token in it', ['--topic', 't', '--key', 'k', '--message', '{"a":1}'], []],
    [
      'a record with its token in a header',
      ['--topic', 't', '--carrier', 'header', '--message-file', 'message.bin'],
      [],
    ],
    ['a tombstone', ['--topic', 't', '--carrier', 'header', '--key', 'k'], []],
    ['a gRPC call', ['--to', 'inventory-service', '--rpc', '/a.B/c', '--message-file', 'message.bin'], []],
    ['a stream', ['--to', 'inventory-service', '--rpc', '/a.B/c'], []],
    ['an md5 token', ['--profile', 'md5', ...stock], []],
    ['an md5 message', ['--profile', 'md5', '--topic', 't', '--message', '{"a":1}'], []],
  ]
  it.each(calls)('takes what create made with the same options: %s', async (_, args) => {
    const token = await tokenFor(args)
    const { code, json, stderr } = await verify([token, ...args, '--as', 'inventory-service', '--json'])
    expect(code, stderr).toBe(0)
    expect(json).toMatchObject({
      accepted: true,
      receiver: 'inventory-service',
      claims: { sender: 'order-service' },
      single_use: 'not_checked',
    })
  })

  it('says what it found, and that it uses nothing up', async () => {
    const token = await tokenFor(['--to', 'inventory', ...stock])
    for (const _ of [1, 2]) {
      const { code, stdout, stderr } = await verify(['-', '--as', 'inventory', ...stock], {}, { stdin: `${token}\n` })
      expect(code).toBe(0)
      expect(stdout).toMatch(/^sender: +order-service$/m)
      expect(stdout).toMatch(/^call: +POST \/v1\/stock\?sku=1$/m)
      expect(stdout).toContain('inventory-service would take this token for this call.')
      expect(stderr).toBe('Whether it was used before was not looked at, and it is not used up by this.\n')
    }
  })

  it('does not say of a bound token that it may be used again, because md5 ones would be taken also', async () => {
    const token = await tokenFor(['--to', 'inventory', ...stock])
    const { stderr } = await verify([token, '--as', 'inventory', ...stock, '--profile', 'md5'])
    expect(stderr).toBe('Whether it was used before was not looked at, and it is not used up by this.\n')
  })

  const changed = (from: string, to: string) => stock.map((one) => (one === from ? to : one))
  it.each<[string, string[], string, string]>([
    ['another method', changed('POST', 'PUT'), 'method', 'the token is for the method "POST", the call has "PUT"'],
    ['another path', changed('/v1/stock?sku=1', '/v1/stocks?sku=1'), 'target', '/v1/stocks'],
    ['another query', changed('/v1/stock?sku=1', '/v1/stock?sku=2'), 'target', 'another query'],
    ['another body', changed('{"n":1}', '{"n": 1}'), 'digest', 'another content'],
    ['another receiver', ['--as', 'billing', ...stock], 'aud', 'the token is for "inventory-service"'],
    ['another tenant', ['--tenant', 'shop', ...stock], 'tenant', 'the token is for no tenant'],
    ['another transport', ['--topic', 't', '--message', '{"n":1}'], 'topic', 'not for a call with a topic'],
  ])('says of %s what differs, with exit 1', async (_, args, reason, says) => {
    const token = await tokenFor(['--to', 'inventory', ...stock])
    const all = [token, ...(args.includes('--as') ? [] : ['--as', 'inventory']), ...args]
    const [code, stderr] = wrong(await verify(all))
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: (inventory|billing)-service would refuse this token: /)
    expect(stderr).toContain(says)
    expect(stderr).not.toContain(token)
    const told = await verify([...all, '--json'])
    expect(told).toMatchObject({ code: 1, stderr: '', json: { accepted: false, code: 'InvalidM2MToken', reason } })
  })

  it('says what differs for gRPC and Kafka', async () => {
    const rpc = ['--to', 'inventory', '--rpc', '/a.B/c', '--message-file', 'message.bin']
    const record = ['--topic', 't', '--key', 'k', '--message', '{"a":1}']
    const cases: [string[], string[], string][] = [
      [rpc, ['--rpc', '/a.B/d', '--message-file', 'message.bin'], 'method'],
      [rpc, ['--rpc', '/a.B/c', '--message-file', 'order.pem'], 'digest'],
      [rpc, ['--rpc', '/a.B/c'], 'digest'],
      [record, ['--topic', 'u', '--key', 'k', '--message', '{"a":1}'], 'aud'],
      [record, ['--topic', 't', '--key', 'l', '--message', '{"a":1}'], 'key'],
      [record, ['--topic', 't', '--message', '{"a":1}'], 'key'],
      [record, ['--topic', 't', '--key', 'k', '--message', '{"a":2}'], 'digest'],
      [['--profile', 'md5', ...stock], [...changed('{"n":1}', '{"n":2}'), '--profile', 'md5'], 'digest'],
      [['--profile', 'md5', ...stock], stock, 'typ'],
    ]
    for (const [made, held, reason] of cases) {
      const { code, json } = await verify([await tokenFor(made), ...held, '--as', 'inventory', '--json'])
      expect({ held, code, reason: json.reason }).toEqual({ held, code: 1, reason })
    }
  })

  it('says how a token of another key, of nobody, and of yesterday came to be refused', async () => {
    const now = Date.now()
    const call = {
      audience: 'inventory-service',
      binding: httpBinding({ method: 'GET', target: '/', content: Buffer.alloc(0) }),
    }
    const sign = (name: string, secretKey: string, at = now) =>
      createServiceSigner({ name, secretKey, now: () => at }).sign(call)
    const { json: other } = await cli.run('service keygen --json')
    const cases: [string, string, string][] = [
      [sign('order', other.service_secret_key), 'kid', 'countersign service register NAME'],
      [sign('nobody', pem), 'sender', 'countersign service register NAME'],
      [sign('order', pem, now - 86_400_000), 'expired', 'sign a new one for each attempt'],
      [sign('order', pem, now + 3_600_000), 'iat', ''],
      [`${sign('order', pem).slice(0, -8)}AAAAAAAA`, 'signature', ''],
      ['rubbish', 'malformed', 'three parts'],
    ]
    for (const [token, reason, cure] of cases) {
      const args = [token, '--as', 'inventory', '--target', '/']
      expect((await verify([...args, '--json'])).json).toMatchObject({ accepted: false, reason })
      const [code, stderr] = wrong(await verify(args))
      expect(code).toBe(1)
      expect(stderr).toContain(cure)
    }
  })

  it('holds to the access lists of the receiver, and says where they are off', async () => {
    const token = await tokenFor(['--to', 'inventory', ...stock])
    const args = [token, '--as', 'inventory', ...stock]
    const [code, stderr] = wrong(await verify(args, { M2M_BLOCK_LIST: 'order-service' }))
    expect(code).toBe(1)
    expect(stderr).toContain("M2M token sender 'order-service' is in the M2M block list; change M2M_BLOCK_LIST")
    const off = await verify(args, { M2M_BLOCK_LIST: 'order-service', NODE_ENV: 'test' })
    expect(off).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('note: NODE_ENV=test leaves M2M_BLOCK_LIST off'),
    })
  })

  it('is the receiver of the environment, and finds keys at the server where JWKS_URL is not set', async () => {
    const token = await tokenFor(['--to', 'inventory', ...stock])
    const own = await verify([token, ...stock, '--json'], { SERVICE_SHORT_NAME: 'inventory' })
    expect(own.json).toMatchObject({ accepted: true })
    for (const [args, env] of [
      [[], { COUNTERSIGN_URL: cli.server.url, JWKS_URL: '' }],
      [['--url', cli.server.url], { JWKS_URL: 'http://127.0.0.1:9/$service' }],
    ] as const) {
      const found = await verify([token, '--as', 'inventory', ...stock, ...args, '--json'], env)
      expect(found.json).toMatchObject({ accepted: true })
    }
  })

  it('does not say no where it cannot know', async () => {
    const token = await tokenFor(['--to', 'inventory', ...stock])
    const args = [token, '--as', 'inventory', ...stock]
    const [code, stderr] = wrong(await verify(args, { JWKS_URL: 'http://127.0.0.1:9/$service' }))
    expect(code).toBe(1)
    expect(stderr).toContain('cannot be said: http://127.0.0.1:9/order cannot be reached')
    expect(stderr).toContain('check JWKS_URL')
  })

  it.each<[string, string[], Record<string, string>, string]>([
    ['no receiver', ['x', ...stock], {}, '--as is missing'],
    ['a receiver that is none', ['x', '--as', 'A', ...stock], {}, '--as'],
    ['no keys', ['x', '--as', 'a', ...stock], { JWKS_URL: '' }, 'set JWKS_URL'],
    [
      'keys that everybody could hold',
      ['x', '--as', 'a', ...stock],
      { JWKS_URL: 'http://a.example/' },
      'needs $service',
    ],
    ['an empty token', ['', '--as', 'a', ...stock], {}, 'the token is empty'],
    ['standard input twice', ['-', '--as', 'a', '--target', '/', '--body-file', '-'], {}, 'cannot be both'],
    ['no call', ['x', '--as', 'a'], {}, '--method and --target'],
  ])('is wrong use with %s', async (_, args, env, says) => {
    const [code, stderr] = wrong(await verify(args, env))
    expect(code).toBe(2)
    expect(stderr).toContain(says)
  })
})

it('a token of the command line opens a guarded server, and no other door', async () => {
  const uses = new Set<string>()
  const guard = createGuard({
    serviceTokens: {
      name: 'inventory',
      keys: keys().JWKS_URL,
      uses: { use: (id: string) => (uses.size === uses.add(id).size ? 'used' : 'first') },
    },
  })
  const { guardNode } = await import('@countersign/guard/node')
  const server: Server = createServer(
    guardNode(guard, {}, (request, response) => response.end(request.caller.clientId)),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  try {
    const token = await tokenFor(['--to', 'inventory', ...stock])
    const call = (path: string, body: string) =>
      fetch(url + path, { method: 'POST', body, headers: { 'x-m2m-token': token } })
    expect(await (await call('/v1/stock?sku=1', '{"n":2}')).json()).toMatchObject({ reason: 'digest' })
    expect(await (await call('/v1/stock?sku=1', '{"n":1}')).text()).toBe('order-service')
    expect(await (await call('/v1/stock?sku=1', '{"n":1}')).json()).toMatchObject({ reason: 'replayed' })
  } finally {
    server.closeAllConnections()
    server.close()
  }
})
