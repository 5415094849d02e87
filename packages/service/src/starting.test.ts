import { createServer } from 'node:http'
import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createService } from './service.ts'
import { createWorld, listen, logLines, type World } from './world.fixture.ts'

const open = { loginRequired: false, M2MAllowed: false }
const m2m = { loginRequired: false, M2MAllowed: true }
const api = (name: string, authOptions: object) => ({ businessApis: [{ name, authOptions }] })

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

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
      message: `HTTP cannot listen on 127.0.0.1:${port} (EADDRINUSE); set HTTP_PORT and HTTP_HOST`,
    })
    taken.close()
  })

  it.each([
    [{ JWKS_URL: '' }, 'JWKS_URL is not set'],
    [{ JWKS_URL: 'https://keys.example/jwks.json' }, '$service'],
    [{ SERVICE_SHORT_NAME: '' }, 'SERVICE_SHORT_NAME is not set'],
    [{ ALLOWED_M2M_CLIENTS: 'Not A Name' }, 'ALLOWED_M2M_CLIENTS: "Not A Name"'],
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

  it('names everything that is in its way, each once and on a line of its own', async () => {
    const document = {
      businessApis: [{ ...api('any', m2m).businessApis[0], kafkaSettings: { requestTopic: 'a.topic' } }],
      actions: { publishEventActions: [{ name: 'tell', topic: 'b.topic', message: '{}' }] },
    }
    const service = await createService(document, { handlers: { any: () => 1 }, environment: {} })
    const error = await service.start().catch((cause) => cause)
    expect(error.message.split('\n- ')).toEqual([
      'the service cannot start: ',
      expect.stringMatching(/^SERVICE_SHORT_NAME is not set; [^.]*$/),
      expect.stringContaining('set SERVICE_SECRET_KEY'),
      expect.stringMatching(/^JWKS_URL is not set; /),
      expect.stringContaining('set KAFKA_BROKERS'),
    ])
    expect(inspect(error)).not.toContain('undefined')
  })

  it.each([{ SERVICE_URL: 'http://stock' }, { SERVICE_SHORT_NAME: 'Inventory' }])(
    'names the variable that cannot be used: %o',
    async (environment) => {
      const made = createService(api('any', open), {
        handlers: { any: () => 1 },
        environment,
      })
      const [name] = Object.keys(environment)
      await expect(made).rejects.toMatchObject({
        code: 'invalid_environment',
        message: expect.stringMatching(new RegExp(`^${name}\\b`)),
      })
    },
  )

  it('names all variables that cannot be used', async () => {
    const environment = {
      REDIS_URL: 'redis',
      HTTP_PORT: '70000',
      KAFKA_BROKERS: 'nowhere',
      TENANT_HOST: 'shop.example',
      LOG_LEVEL: 'loud',
    }
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

  it('warns of production whose metrics are open to anybody', async () => {
    expect(await noticesOf(api('any', open), {})).toContain('anybody can read /metrics')
    expect(await noticesOf(api('any', open), { METRICS_TOKEN: 'hunter2' })).not.toContain('/metrics')
    expect(await noticesOf(api('any', open), { SERVICE_ENV: 'test' })).not.toContain('/metrics')
  })
})
