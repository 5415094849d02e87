import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createLogger } from './log/create-logger.ts'
import { createService } from './service.ts'
import { type AnyJson, createWorld, listen, logLines, type World } from './world.fixture.ts'

const open = { loginRequired: false, M2MAllowed: false }
const m2m = { loginRequired: false, M2MAllowed: true }
const api = (name: string, authOptions: object) => ({ businessApis: [{ name, authOptions }] })

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

describe('a service that stops', () => {
  it('lets calls in flight come to their end, and takes no new ones', async () => {
    const entered = Promise.withResolvers<void>()
    const leave = Promise.withResolvers<void>()
    const handlers = {
      slow: async () => {
        entered.resolve()
        await leave.promise
        return { done: true }
      },
    }
    const service = await world.start('slow', api('slow', open), { handlers })
    const { hostname, port, host } = new URL(service.url)
    const kept = connect(Number(port), hostname).on('error', () => {})
    let keptGot = ''
    kept.on('data', (chunk) => (keptGot += chunk))
    kept.write(`GET /healthz HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    await expect.poll(() => keptGot).toContain('200 OK')

    const inFlight = fetch(`${service.url}/slow`, { method: 'POST' })
    await entered.promise
    kept.write(`POST /slow HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 10\r\n\r\n`)
    const stopped = service.stop()
    let isStopped = false
    void stopped.then(() => {
      isStopped = true
    })
    await expect(fetch(`${service.url}/healthz`)).rejects.toThrow()
    expect(isStopped).toBe(false)
    leave.resolve()
    const answer = await inFlight
    expect({ status: answer.status, body: await answer.json() }).toEqual({ status: 200, body: { done: true } })
    kept.destroy()
    await stopped
    expect(service.stop(), 'to stop twice is to stop once').toBe(stopped)
    await expect(service.start()).rejects.toThrow('the service was stopped; make a new one')
  })

  it('tells whoever comes on a connection that is kept alive', async () => {
    const hold = Promise.withResolvers<void>()
    const handlers = { wait: () => hold.promise }
    const service = await world.start('kept', api('wait', open), { handlers })
    const { hostname, port, host } = new URL(service.url)
    const kept = connect(Number(port), hostname).on('error', () => {})
    let got = ''
    kept.on('data', (chunk) => (got += chunk))
    const pending = fetch(`${service.url}/wait`, { method: 'POST' })
    // Half a request: this connection is not idle, and so it is not closed.
    kept.write(`GET /readyz HTTP/1.1\r\nHost: ${host}\r\n`)
    await expect.poll(() => world.log.lines.length).toBeGreaterThan(0)
    await new Promise((done) => setTimeout(done, 100))
    const stopped = service.stop()
    kept.write('\r\n')
    await expect.poll(() => got).toContain('503 Service Unavailable')
    expect(got.toLowerCase()).toContain('connection: close')
    expect(got).toContain('"code":"stopping"')
    hold.resolve()
    await pending
    await stopped
  })

  it('waits no longer than STOP_TIMEOUT', async () => {
    const entered = Promise.withResolvers<void>()
    const handlers = {
      never: () => {
        entered.resolve()
        return new Promise(() => {})
      },
    }
    const service = await world.start('never', api('never', open), { handlers, environment: { STOP_TIMEOUT: '1' } })
    const pending = fetch(`${service.url}/never`, { method: 'POST' }).catch((error) => error)
    await entered.promise
    await service.stop()
    expect(await pending).toBeInstanceOf(Error)
  })

  it('may stop before it has started', async () => {
    const service = await world.create('early', api('any', open), { handlers: { any: () => 1 } })
    await service.stop()
  })
})

describe('a service that cannot start', () => {
  it('says which port is taken', async () => {
    const taken = createServer()
    const port = await listen(taken)
    const service = await world.create('taken', api('any', open), {
      handlers: { any: () => 1 },
      environment: { HTTP_PORT: String(port) },
    })
    await expect(service.start()).rejects.toMatchObject({
      code: 'cannot_start',
      message: `HTTP cannot listen on 127.0.0.1:${port} (EADDRINUSE)`,
    })
    taken.close()
  })

  it.each([
    [{ JWKS_URL: '' }, 'JWKS_URL is not set'],
    [{ JWKS_URL: 'https://keys.example/jwks.json' }, '$service'],
    [{ SERVICE_SHORT_NAME: '' }, 'SERVICE_SHORT_NAME is not set'],
    [{ ALLOWED_M2M_CLIENTS: 'Not A Name' }, 'allowList'],
    [{ REDIS_URL: 'redis://:hunter2@127.0.0.1:9' }, 'Redis at 127.0.0.1:9 cannot be used'],
  ])('verifies no token without what that takes (%o)', async (environment, sentence) => {
    const start = async () => {
      const service = await world.create('lacking', api('any', m2m), {
        handlers: { any: () => 1 },
        environment: environment as unknown as Record<string, string>,
      })
      await service.start()
    }
    const error = await start().catch((cause) => cause)
    expect(error).toMatchObject({ name: 'ServiceError', code: 'cannot_start' })
    expect(error.message).toContain(sentence)
    expect(error.message).not.toContain('hunter2')
  })

  it('names all variables that cannot be used', async () => {
    const environment = { HTTP_PORT: '70000', KAFKA_BROKERS: 'nowhere', TENANT_HOST: 'shop.example', LOG_LEVEL: 'loud' }
    const error = await world
      .create('badly', api('any', open), { handlers: { any: () => 1 }, environment })
      .catch((cause) => cause)
    expect(error.code).toBe('invalid_environment')
    for (const name of Object.keys(environment)) expect(error.message).toContain(`${name}: `)
  })

  it('names code and document that do not fit together', async () => {
    const made = createService(api('createOrder', open), { handlers: { createOder: () => 1 }, environment: {} })
    await expect(made).rejects.toMatchObject({
      code: 'invalid_service',
      message: expect.stringMatching(/"createOrder" has no code.*handlers\.createOder belongs to no business API/s),
    })
  })

  it('refuses two operations at one place, and one in place of its own pages', async () => {
    const at = (name: string, path: string, method = 'GET') => ({
      name,
      authOptions: open,
      restSettings: { path, method },
    })
    const handlers = { a: () => 1, b: () => 2 }
    for (const [first, second] of [
      [at('a', '/x'), at('b', '/x')],
      [at('a', '/x/:id'), at('b', '/x/:name')],
      [at('a', '/healthz'), at('b', '/x')],
      [at('a', '/.well-known/jwks.json'), at('b', '/x')],
    ]) {
      const made = createService({ businessApis: [first, second] }, { handlers, environment: {}, logger: logLines() })
      await expect(made).rejects.toMatchObject({ name: 'ServiceError', message: expect.stringContaining('GET /') })
    }
  })
})

describe('what is said at start', () => {
  const noticesOf = async (document: object, environment: Record<string, string>) => {
    const logger = logLines()
    const handlers = { any: () => 1 }
    const service = await world.create(`notices`, document, { handlers, environment, logger })
    await service.start()
    await service.stop()
    return logger.lines.filter((line) => line.includes('"warn"')).join('\n')
  }
  const lists = { serviceSettings: { serviceOptions: { allowedM2MClients: ['order'] } } }

  it('names the lists that are off', async () => {
    const environment = { SERVICE_ENV: 'development', M2M_BLOCK_LIST: 'evil' }
    const said = await noticesOf({ ...api('any', m2m), ...lists }, environment)
    expect(said).toContain('SERVICE_ENV=development leaves M2M_BLOCK_LIST off')
    expect(said).toContain('the lists of the document are off')
    expect(await noticesOf(api('any', m2m), { SERVICE_ENV: 'development' })).not.toContain('off')
  })

  it('warns of production without a shared store', async () => {
    expect(await noticesOf(api('any', m2m), {})).toContain('set REDIS_URL')
    expect(await noticesOf(api('any', m2m), { SERVICE_ENV: 'test' })).not.toContain('REDIS_URL')
    expect(await noticesOf(api('any', open), {})).not.toContain('REDIS_URL')
  })
})

describe('what a service tells about itself', () => {
  it('is its keys, its APIs, its health and its numbers', async () => {
    const document = {
      businessApis: [
        { name: 'find', authOptions: m2m, restSettings: { path: '/v1/stock/:id', method: 'GET' } },
        { name: 'put', authOptions: m2m },
      ],
      edgeControllers: [{ edgeControllerOptions: { functionName: 'hook', loginRequired: false } }],
    }
    const code = { handlers: { find: () => 1, put: () => 1 }, functions: { hook: () => 1 } }
    const service = await world.start('inventory', document, code)
    const get = async (path: string) => {
      const response = await fetch(service.url + path)
      const text = await response.text()
      return {
        status: response.status,
        headers: response.headers,
        text,
        body: text.startsWith('{') ? JSON.parse(text) : undefined,
      }
    }
    expect((await get('/.well-known/jwks.json')).body).toEqual(world.signer('inventory').jwks())
    expect((await get('/.well-known/service.json')).body).toEqual({
      name: 'inventory-service',
      apis: { find: { method: 'GET', path: '/v1/stock/{id}' }, put: { method: 'POST', path: '/put' } },
    })
    expect(await get('/healthz')).toMatchObject({ status: 200, body: { status: 'ok' } })
    expect(await get('/readyz')).toMatchObject({ status: 200, body: { status: 'ready' } })

    await world.fetchAs('order')(`${service.url}/v1/stock/7`)
    await fetch(`${service.url}/put`, { method: 'POST', headers: { 'x-m2m-token': 'nonsense' } })
    const { text } = await get('/metrics')
    const line = (name: string, ...labels: string[]) =>
      text.split('\n').find((each) => each.startsWith(name) && labels.every((label) => each.includes(label)))
    const tokens = 'countersign_service_token_validations_total'
    expect(line(tokens, 'sender="order-service"', 'outcome="accepted"', 'transport="http"')).toMatch(/ 1$/)
    expect(line(tokens, 'sender="unproven"', 'outcome="refused"', 'reason="malformed"')).toMatch(/ 1$/)
    expect(line('countersign_service_calls_total', 'operation="find"', 'status="200"')).toMatch(/ 1$/)
    expect(line('countersign_service_calls_total', 'operation="put"', 'status="401"')).toMatch(/ 1$/)
  })

  it('shows its numbers to nobody without METRICS_TOKEN, where that is set', async () => {
    const service = await world.start('metered', api('any', open), {
      handlers: { any: () => 1 },
      environment: { METRICS_TOKEN: 'hunter2' },
    })
    expect((await fetch(`${service.url}/metrics`)).status).toBe(401)
    expect((await fetch(`${service.url}/metrics`, { headers: { authorization: 'Bearer hunter' } })).status).toBe(401)
    expect((await fetch(`${service.url}/metrics`, { headers: { authorization: 'Bearer hunter2' } })).status).toBe(200)
  })
})

describe('a new key', () => {
  it('signs at once, and the old one stays published as long as its tokens live', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kit-'))
    const file = join(folder, 'key.pem')
    const newKey = () => generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    writeFileSync(file, newKey())
    const kids: AnyJson[] = []
    const keys = createServer(async (_request, response) => {
      const published = await fetch(`${order.url}/.well-known/jwks.json`)
      response.writeHead(200, { 'content-type': 'application/json' }).end(await published.text())
    })
    const port = await listen(keys)
    await world.start('pinged', api('ping', m2m), {
      handlers: { ping: (_input, { caller }) => void kids.push(caller?.credentialId) },
      environment: { JWKS_URL: `http://127.0.0.1:${port}/$service/jwks.json` },
    })
    const order = await world.start(
      'rotating',
      { actions: { interserviceCallActions: [{ name: 'ping', targetService: 'pinged', targetApi: 'ping' }] } },
      { environment: { SERVICE_SECRET_KEY: '', SERVICE_SECRET_KEY_FILE: file } },
    )
    const published = async () => ((await (await fetch(`${order.url}/.well-known/jwks.json`)).json()) as AnyJson).keys

    await order.actions.ping!()
    await writeFile(file, newKey())
    await expect.poll(async () => (await published()).length, { timeout: 30_000 }).toBe(2)
    await order.actions.ping!()
    const [current, old] = await published()
    expect(kids).toEqual([old.kid, current.kid])
    keys.close().closeAllConnections()
    await rm(folder, { recursive: true })
  })
})

describe('what handlers throw', () => {
  it('is logged, and not shown', async () => {
    const logger = logLines()
    const handlers = {
      any: () => {
        throw new Error('hunter2: connection to postgres://db.internal refused', {
          cause: new Error('the deeper reason'),
        })
      },
    }
    const service = await world.start('throwing', api('any', open), { handlers, logger })
    const response = await fetch(`${service.url}/any`, { method: 'POST' })
    const body = (await response.json()) as AnyJson
    expect({ status: response.status, body }).toMatchObject({ status: 500, body: { code: 'operation_failed' } })
    expect(JSON.stringify(body)).not.toMatch(/hunter2|postgres|db\.internal/)
    const line = logger.lines.find((each) => each.includes(body.incident))!
    expect(line).toContain('db.internal')
    expect(line).toContain('the deeper reason')
  })

  it.each([['text'], [undefined], [{ status: 200 }], [null]])('may be anything (%o)', async (thrown) => {
    const handlers = {
      any: () => {
        throw thrown
      },
    }
    const service = await world.start(`odd-${crypto.randomUUID().slice(0, 8)}`, api('any', open), { handlers })
    expect((await fetch(`${service.url}/any`, { method: 'POST' })).status).toBe(500)
  })

  it('is answered too when it gives what is no JSON', async () => {
    const circular: AnyJson = {}
    circular.self = circular
    const handlers = { any: () => circular }
    const service = await world.start('circular', api('any', open), { handlers })
    expect((await fetch(`${service.url}/any`, { method: 'POST' })).status).toBe(500)
    const bytes = await world.start('bigint', api('any', open), { handlers: { any: () => ({ n: 1n }) } })
    expect((await fetch(`${bytes.url}/any`, { method: 'POST' })).status).toBe(500)
  })
})

it('writes no token to its log, wherever it turned up', () => {
  const lines: string[] = []
  const log = createLogger('order', 'debug', (line) => lines.push(line))
  const token = world.signer('order').signMd5('0'.repeat(32))
  log.info({ headers: { 'x-m2m-token': token }, deep: [{ token }] }, `got ${token}`)
  log.error({ err: new Error(`bad ${token.slice(0, 60)}`) }, 'failed')
  expect(lines).toHaveLength(2)
  expect(lines.join('')).not.toContain('eyJ')
  expect(lines.join('')).toContain('[token]')
})
