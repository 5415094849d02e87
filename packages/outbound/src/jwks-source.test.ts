import type { RequestListener } from 'node:http'
import { generateSigningKey } from '@countersign/tokens'
import { beforeAll, describe, expect, it } from 'vitest'
import { startDocumentServer } from './document-server.fixture.ts'
import { createJwksSource, type JwksSourceOptions } from './jwks-source.ts'

type GeneratedKey = Awaited<ReturnType<typeof generateSigningKey>>
let first: GeneratedKey
let second: GeneratedKey
beforeAll(async () => {
  first = await generateSigningKey('ES256')
  second = await generateSigningKey('ES256')
})

const fetchOptions = { allowHttp: true, allowPrivateAddresses: true, timeoutMilliseconds: 500 }

function serving(...keys: GeneratedKey[]): RequestListener {
  return (_request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ keys: keys.map((key) => key.publicJwk) }))
  }
}

async function startIssuer(handler: RequestListener, options: Partial<JwksSourceOptions> = {}) {
  const server = await startDocumentServer(handler)
  const clock = { milliseconds: 0 }
  const source = createJwksSource({
    url: `${server.url}/.well-known/jwks.json`,
    fetchOptions,
    now: () => clock.milliseconds,
    ...options,
  })
  return {
    server,
    source,
    pass: (seconds: number) => {
      clock.milliseconds += seconds * 1_000
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

const asking = (key: GeneratedKey) => ({ kid: key.kid, alg: 'ES256' })
/** Until an answer that is on its way has been read. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 200))

describe('createJwksSource', () => {
  it('finds a key by its kid, later without waiting', async () => {
    await using issuer = await startIssuer(serving(first, second))
    expect(issuer.source.keyForSync(asking(first))).toBeUndefined()
    expect((await issuer.source.keyFor(asking(first)))?.kid).toBe(first.kid)
    expect(issuer.source.keyForSync(asking(second))?.kid).toBe(second.kid)
    expect(await issuer.source.keys()).toHaveLength(2)
    expect(issuer.server.requests).toHaveLength(1)
  })

  it('learns of a new key by looking again', async () => {
    await using issuer = await startIssuer(serving(first))
    await issuer.source.keyFor(asking(first))
    issuer.server.answer(serving(first, second))
    expect((await issuer.source.keyFor(asking(second)))?.kid).toBe(second.kid)
    expect(issuer.server.requests).toHaveLength(2)
  })

  describe('a storm of unknown kids', () => {
    const unknown = (index: number) => ({ kid: `unknown-${index}`, alg: 'ES256' })

    it('costs one fetch when 100 arrive at once, and none more within the cooldown', async () => {
      await using issuer = await startIssuer(serving(first), { cooldownSeconds: 10 })
      await issuer.source.keyFor(asking(first))
      const found = await Promise.all(Array.from({ length: 100 }, (_, index) => issuer.source.keyFor(unknown(index))))
      expect(found).toEqual(Array(100).fill(undefined))
      expect(issuer.server.requests).toHaveLength(2)
      for (let index = 0; index < 100; index += 1) await issuer.source.keyFor(unknown(1_000 + index))
      expect(issuer.server.requests).toHaveLength(2)
      issuer.pass(10)
      await Promise.all(Array.from({ length: 100 }, (_, index) => issuer.source.keyFor(unknown(index))))
      expect(issuer.server.requests).toHaveLength(3)
    })

    it('costs one fetch when it is the first thing that arrives', async () => {
      await using issuer = await startIssuer(serving(first))
      await Promise.all(Array.from({ length: 100 }, (_, index) => issuer.source.keyFor(unknown(index))))
      expect(issuer.server.requests).toHaveLength(1)
    })

    it('does not hold up known keys, even while the issuer hangs', async () => {
      await using issuer = await startIssuer(serving(first))
      await issuer.source.keyFor(asking(first))
      issuer.server.answer(() => {})
      const waiting = Promise.allSettled(
        Array.from({ length: 100 }, (_, index) => issuer.source.keyFor(unknown(index))),
      )
      expect((await issuer.source.keyFor(asking(first)))?.kid).toBe(first.kid)
      expect(issuer.source.keyForSync(asking(first))?.kid).toBe(first.kid)
      for (const { status } of await waiting) expect(status).toBe('rejected')
    })

    it('costs one fetch per cooldown while the issuer is down from the start', async () => {
      await using issuer = await startIssuer((_request, response) => void response.writeHead(503).end())
      for (let index = 0; index < 20; index += 1) {
        await expect(issuer.source.keyFor(unknown(index))).rejects.toMatchObject({ code: 'bad_status' })
      }
      expect(issuer.server.requests).toHaveLength(1)
    })
  })

  describe('an issuer that fails', () => {
    const failures: [string, RequestListener, string][] = [
      ['hangs up', (request) => void request.socket.destroy(), 'unreachable'],
      ['never answers', () => {}, 'timed_out'],
      ['answers 500', (_request, response) => void response.writeHead(500).end('{"keys":[]}'), 'bad_status'],
      ['answers 304 unasked', (_request, response) => void response.writeHead(304).end(), 'bad_status'],
      [
        'redirects',
        (_request, response) => void response.writeHead(302, { location: 'https://evil.test/' }).end(),
        'redirected',
      ],
      ['answers HTML', (_request, response) => void response.end('<!doctype html><p>Sign in'), 'bad_document'],
      ['answers no JWKS', (_request, response) => void response.end('{"error":"later"}'), 'bad_document'],
      ['answers an empty body', (_request, response) => void response.end(), 'bad_document'],
      [
        'answers with keys given twice',
        (_request, response) => void response.end('{"keys":[],"keys":[]}'),
        'bad_document',
      ],
      [
        'answers with 10,000 keys',
        (_request, response) => {
          const keys = Array.from({ length: 10_000 }, (_, index) => ({ kty: 'none', kid: String(index) }))
          response.end(JSON.stringify({ keys }))
        },
        'too_large',
      ],
      [
        'answers with 10,000 small keys',
        (_request, response) => void response.end(`{"keys":[${'{},'.repeat(9_999)}{}]}`),
        'bad_document',
      ],
      ['answers with 10 MB', (_request, response) => void response.end(Buffer.alloc(10_000_000, ' ')), 'too_large'],
      ['answers with depth', (_request, response) => void response.end('['.repeat(60_000)), 'bad_document'],
    ]

    it.each(failures)('%s: the refusal tells so when there are no keys yet', async (_what, handler, code) => {
      await using issuer = await startIssuer(handler)
      await expect(issuer.source.keyFor(asking(first))).rejects.toMatchObject({ code })
      await expect(issuer.source.keys()).rejects.toMatchObject({ code })
    })

    it.each(failures)('%s: the known keys serve for an hour and no longer', async (_what, handler, code) => {
      await using issuer = await startIssuer(serving(first))
      await issuer.source.keyFor(asking(first))
      issuer.server.answer(handler)
      issuer.pass(3_599)
      expect((await issuer.source.keyFor(asking(first)))?.kid).toBe(first.kid)
      await expect(issuer.source.keyFor(asking(second))).rejects.toMatchObject({ code })
      expect(issuer.source.keyForSync(asking(first))?.kid).toBe(first.kid)
      issuer.pass(11)
      expect(issuer.source.keyForSync(asking(first))).toBeUndefined()
      await expect(issuer.source.keyFor(asking(first))).rejects.toMatchObject({ name: 'OutboundError' })
    })

    it('leaves it open whether there is a key that could not be looked for', async () => {
      await using issuer = await startIssuer(serving(first))
      await issuer.source.keyFor(asking(first))
      issuer.server.answer((_request, response) => void response.writeHead(500).end())
      for (const _twice of [1, 2])
        await expect(issuer.source.keyFor(asking(second))).rejects.toMatchObject({ code: 'bad_status' })
      expect((await issuer.source.keyFor(asking(first)))?.kid).toBe(first.kid)
      issuer.server.answer(serving(first, second))
      issuer.pass(10)
      expect((await issuer.source.keyFor(asking(second)))?.kid).toBe(second.kid)
    })

    it('is asked again after the cooldown, and then serves', async () => {
      await using issuer = await startIssuer((_request, response) => void response.writeHead(500).end())
      await expect(issuer.source.keyFor(asking(first))).rejects.toMatchObject({ code: 'bad_status' })
      issuer.server.answer(serving(first))
      issuer.pass(10)
      expect((await issuer.source.keyFor(asking(first)))?.kid).toBe(first.kid)
    })
  })

  it('asks whether its copy still stands', async () => {
    await using issuer = await startIssuer((request, response) => {
      response.setHeader('etag', '"v1"')
      if (request.headers['if-none-match'] === '"v1"') return void response.writeHead(304).end()
      serving(first)(request, response)
    })
    for (let round = 0; round < 3; round += 1) {
      expect((await issuer.source.keyFor(asking(first)))?.kid).toBe(first.kid)
      await expect.poll(() => issuer.server.requests.length).toBe(round + 1)
      await settled()
      issuer.pass(2_000)
    }
    expect(issuer.server.requests.map((headers) => headers['if-none-match'])).toEqual([undefined, '"v1"', '"v1"'])
  })

  it('follows the max-age of the issuer when it is shorter', async () => {
    await using issuer = await startIssuer((request, response) => {
      response.setHeader('cache-control', 'public, max-age=30')
      serving(first)(request, response)
    })
    await issuer.source.keyFor(asking(first))
    issuer.pass(31)
    issuer.source.keyForSync(asking(first))
    await expect.poll(() => issuer.server.requests.length).toBe(2)
  })

  it('never gives out a revoked key again, from a stale copy or a new one', async () => {
    await using issuer = await startIssuer(serving(first, second))
    await issuer.source.keyFor(asking(first))
    issuer.source.drop(first.kid)
    expect(issuer.source.keyForSync(asking(first))).toBeUndefined()
    expect(await issuer.source.keyFor(asking(first))).toBeUndefined()
    expect((await issuer.source.keys()).map((key) => key.kid)).toEqual([second.kid])
    issuer.pass(400)
    issuer.source.keyForSync(asking(second))
    await expect.poll(() => issuer.server.requests.length).toBe(2)
    await settled()
    expect(await issuer.source.keyFor(asking(first))).toBeUndefined()
    expect(issuer.source.keyForSync({ alg: 'ES256' })?.kid).toBe(second.kid)
    issuer.source.drop(second.kid)
    expect(issuer.source.keyForSync(asking(second))).toBeUndefined()
    expect(await issuer.source.keys()).toEqual([])
  })

  it('does not fetch for a revoked kid, nor for a known kid with another algorithm', async () => {
    await using issuer = await startIssuer(serving(first))
    await issuer.source.keyFor(asking(first))
    issuer.source.drop('revoked')
    await issuer.source.keyFor({ kid: 'revoked', alg: 'ES256' })
    await issuer.source.keyFor({ kid: first.kid, alg: 'none' })
    expect(issuer.server.requests).toHaveLength(1)
  })

  it('does not look a kid up in objects', async () => {
    await using issuer = await startIssuer(serving(first))
    for (const kid of ['__proto__', 'constructor', '../', "' or 1=1", '']) {
      expect(await issuer.source.keyFor({ kid, alg: 'ES256' })).toBeUndefined()
    }
  })

  it('refuses a jwks_uri on a private address unless told otherwise', async () => {
    await using server = await startDocumentServer(serving(first))
    const source = createJwksSource({ url: server.url, fetchOptions: { allowHttp: true } })
    await expect(source.keyFor(asking(first))).rejects.toMatchObject({ code: 'blocked_address' })
    expect(server.requests).toEqual([])
  })

  it('names the URL without its query when the set is unusable', async () => {
    await using server = await startDocumentServer((_request, response) => void response.end('[]'))
    const source = createJwksSource({ url: `${server.url}/keys?token=canary-secret`, fetchOptions })
    const error = await source.keys().catch((reason) => reason)
    expect(error.message).toContain('/keys is not a usable JWKS')
    expect(error.message).not.toContain('canary-secret')
  })
})
