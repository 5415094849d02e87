import { type AddressInfo, createServer } from 'node:net'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { lookupOf, startDocumentServer } from './document-server.fixture.ts'
import { type GuardedFetchOptions, guardedFetch } from './guarded-fetch.ts'

const local: GuardedFetchOptions = { allowHttp: true, allowPrivateAddresses: true }

async function refusal(url: string, options?: GuardedFetchOptions) {
  const error = await guardedFetch(url, options).then(
    () => undefined,
    (reason) => reason,
  )
  return error
}

/** Speaks raw bytes, for what node:http would not send. */
async function startRawServer(answer: string | Buffer) {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.write(answer))
  })
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async [Symbol.asyncDispose]() {
      await new Promise((closed) => server.close(closed))
    },
  }
}

describe('guardedFetch', () => {
  it('returns status, headers and body', async () => {
    await using server = await startDocumentServer((_request, response) => {
      response.setHeader('etag', '"1"').setHeader('content-type', 'application/json').end('{}')
    })
    const response = await guardedFetch(`${server.url}/keys?x=1`, { ...local, headers: { 'X-Thing': 'a' } })
    expect(response.status).toBe(200)
    expect(response.headers.etag).toBe('"1"')
    expect(response.body.toString()).toBe('{}')
    expect(server.requests).toMatchObject([{ 'accept-encoding': 'identity', 'x-thing': 'a', connection: 'close' }])
  })

  it('gets a document over TLS by name from the address that was looked up', async () => {
    await using server = await startDocumentServer((_request, response) => void response.end('hello'), {
      tlsName: 'documents.test',
    })
    const options = { allowPrivateAddresses: true, lookup: lookupOf(['127.0.0.1']), ca: server.certificate }
    expect((await guardedFetch(server.url, options)).body.toString()).toBe('hello')
    expect(server.requests).toMatchObject([{ host: `documents.test:${server.port}` }])
  })

  it('refuses a certificate that nobody vouches for, and one of another name', async () => {
    await using server = await startDocumentServer((_request, response) => void response.end('hello'), {
      tlsName: 'documents.test',
    })
    const options = { allowPrivateAddresses: true, lookup: lookupOf(['127.0.0.1']) }
    expect(await refusal(server.url, options)).toMatchObject({ code: 'unreachable' })
    const other = server.url.replace('documents', 'others')
    expect(await refusal(other, { ...options, ca: server.certificate })).toMatchObject({ code: 'unreachable' })
    expect(server.requests).toEqual([])
  })

  describe('the URL', () => {
    it.each([
      'http://example.com/',
      'ftp://example.com/',
      'file:///etc/passwd',
      'data:application/json,{}',
      'unix:/run/x.sock',
      'javascript:1',
      'not a url',
      '',
      `https://example.com/${'a'.repeat(2_048)}`,
    ])('must be https: %.40s', async (url) => {
      expect(await refusal(url, { lookup: lookupOf(['127.0.0.1']) })).toMatchObject({ code: 'blocked_url' })
    })

    it('must not hold a password, and the refusal does not repeat it', async () => {
      const error = await refusal('https://user:canary-secret@example.com/keys?token=canary-secret')
      expect(error).toMatchObject({ code: 'blocked_url' })
      expect(String(error)).not.toContain('canary-secret')
    })

    it('is named in refusals without its query', async () => {
      const error = await refusal('https://127.0.0.1/keys?token=canary-secret')
      expect(error.message).toContain('https://127.0.0.1/keys')
      expect(error.message).not.toContain('canary-secret')
    })
  })

  describe('server-side request forgery', () => {
    it.each([
      'https://127.0.0.1/',
      'https://127.1/',
      'https://2130706433/',
      'https://0x7f000001/',
      'https://0177.0.0.1/',
      'https://127.0.0.1./',
      'https://①②⑦.0.0.1/',
      'https://0/',
      'https://10.0.0.1/',
      'https://169.254.169.254/latest/meta-data/',
      'https://[::1]/',
      'https://[::]/',
      'https://[::ffff:127.0.0.1]/',
      'https://[::ffff:169.254.169.254]/',
      'https://[64:ff9b::a9fe:a9fe]/',
      'https://[fe80::1]/',
      'https://[fd00:ec2::254]/',
    ])('refuses the address %s without a look-up', async (url) => {
      const lookup = lookupOf(['1.1.1.1'])
      expect(await refusal(url, { lookup })).toMatchObject({ code: 'blocked_address' })
      expect(lookup.calls).toBe(0)
    })

    it('refuses a name that resolves to a private address, and does not say to which', async () => {
      const error = await refusal('https://innocent.test/', { lookup: lookupOf(['10.1.2.3']) })
      expect(error).toMatchObject({ code: 'blocked_address', address: '10.1.2.3' })
      expect(error.message).not.toContain('10.1.2.3')
    })

    it('refuses localhost as the system resolves it', async () => {
      expect(await refusal('https://localhost/')).toMatchObject({ code: 'blocked_address' })
    })

    it.each([[['1.1.1.1', '127.0.0.1']], [['::ffff:10.0.0.1', '1.1.1.1']], [['1.1.1.1', 'gibberish']]])(
      'refuses a name if any of its addresses is refused: %j',
      async (addresses) => {
        expect(await refusal('https://mixed.test/', { lookup: lookupOf(addresses) })).toMatchObject({
          code: 'blocked_address',
        })
      },
    )

    it('is not led to the loopback by a name that resolves to a public address first and to a private one then', async () => {
      await using server = await startDocumentServer((_request, response) => void response.end('internal'))
      // 2d00::/8 counts as global unicast but has never been given to anyone: the connection ends nowhere.
      const lookup = lookupOf(['2d00::1'], ['127.0.0.1'])
      const options = { allowHttp: true, lookup, timeoutMilliseconds: 300 }
      expect((await refusal(`http://rebinding.test:${server.port}/`, options)).code).toMatch(
        /^(unreachable|timed_out)$/,
      )
      expect(lookup.calls).toBe(1)
      expect(server.requests).toEqual([])
    })

    it('connects to exactly the address that was checked', async () => {
      await using checked = await startDocumentServer((_request, response) => void response.end('checked'), {
        host: '127.0.0.2',
      })
      await using other = await startDocumentServer((_request, response) => void response.end('rebound'), {
        port: checked.port,
      })
      const lookup = lookupOf(['127.0.0.2'], ['127.0.0.1'])
      const response = await guardedFetch(`http://rebinding.test:${checked.port}/`, { ...local, lookup })
      expect(response.body.toString()).toBe('checked')
      expect(other.requests).toEqual([])
    })

    it('does not reach cloud metadata even where private addresses are allowed', async () => {
      for (const address of ['169.254.169.254', '::ffff:169.254.169.254', '100.100.100.200', '0.0.0.0', 'fe80::1']) {
        const options = { ...local, lookup: lookupOf([address]) }
        expect(await refusal('http://operators.test/', options)).toMatchObject({ code: 'blocked_address' })
      }
    })

    it.each([301, 302, 303, 307, 308])('does not follow a redirect (%i)', async (status) => {
      await using inside = await startDocumentServer((_request, response) => void response.end('internal'))
      await using server = await startDocumentServer((_request, response) => {
        response.writeHead(status, { location: `${inside.url}/admin` }).end()
      })
      expect(await refusal(server.url, local)).toMatchObject({ code: 'redirected', status })
      expect(inside.requests).toEqual([])
    })

    it('does not go through a proxy that the environment names', async () => {
      await using proxy = await startDocumentServer((_request, response) => void response.end('proxied'))
      await using server = await startDocumentServer((_request, response) => void response.end('direct'))
      process.env.HTTP_PROXY = process.env.http_proxy = proxy.url
      try {
        expect((await guardedFetch(server.url, local)).body.toString()).toBe('direct')
      } finally {
        delete process.env.HTTP_PROXY
        delete process.env.http_proxy
      }
      expect(proxy.requests).toEqual([])
    })
  })

  describe('what the other side sends', () => {
    it.each([201, 204, 206, 304, 400, 404, 500, 503])('is refused with status %i', async (status) => {
      await using server = await startDocumentServer((_request, response) => void response.writeHead(status).end())
      expect(await refusal(server.url, local)).toMatchObject({ code: 'bad_status', status })
    })

    it('may be 304 when the question was conditional', async () => {
      await using server = await startDocumentServer((_request, response) => void response.writeHead(304).end())
      const response = await guardedFetch(server.url, { ...local, headers: { 'If-None-Match': '"1"' } })
      expect(response).toMatchObject({ status: 304, body: Buffer.alloc(0) })
    })

    it('may be as large as the limit, and not a byte larger, announced or not', async () => {
      for (const announced of [true, false]) {
        await using server = await startDocumentServer((request, response) => {
          const size = Number(request.url?.slice(1))
          if (announced) response.setHeader('content-length', size)
          response.write('a'.repeat(size / 2))
          response.end('a'.repeat(size / 2))
        })
        expect((await guardedFetch(`${server.url}/1000`, { ...local, maximumBytes: 1_000 })).body.length).toBe(1_000)
        expect(await refusal(`${server.url}/1002`, { ...local, maximumBytes: 1_000 })).toMatchObject({
          code: 'too_large',
        })
      }
    })

    it('is cut off when it never ends', async () => {
      await using server = await startDocumentServer((_request, response) => {
        const more = () => void response.write(Buffer.alloc(16_384), (error) => error ?? setImmediate(more))
        more()
      })
      expect(await refusal(server.url, local)).toMatchObject({ code: 'too_large' })
    })

    it('must not be compressed, as a small body may inflate to a large one', async () => {
      await using server = await startDocumentServer((_request, response) => {
        response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(10_000_000)))
      })
      expect(await refusal(server.url, local)).toMatchObject({ code: 'bad_document' })
    })

    it('must be of a media type that was asked for', async () => {
      await using server = await startDocumentServer((request, response) => {
        response.writeHead(200, { 'content-type': request.url?.slice(1) ?? '' }).end('{}')
      })
      const options = { ...local, accept: ['application/json'] }
      expect((await guardedFetch(`${server.url}/Application/JSON;charset=utf-8`, options)).status).toBe(200)
      expect(await refusal(`${server.url}/text/html`, options)).toMatchObject({ code: 'bad_document' })
      expect(server.requests).toMatchObject([{ accept: 'application/json' }, {}])
    })

    it('must not have endless headers', async () => {
      await using server = await startRawServer(`HTTP/1.1 200 OK\r\nx: ${'a'.repeat(40_000)}`)
      expect(await refusal(server.url, local)).toMatchObject({ code: 'too_large' })
    })

    it('must not frame itself in two ways', async () => {
      await using server = await startRawServer(
        'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
      )
      expect(await refusal(server.url, local)).toMatchObject({ code: 'unreachable' })
    })

    it('must be whole', async () => {
      await using server = await startDocumentServer((_request, response) => {
        response.setHeader('content-length', 10)
        response.write('half', () => response.destroy())
      })
      expect(await refusal(server.url, local)).toMatchObject({ code: 'unreachable' })
    })
  })

  describe('time', () => {
    const soon = { ...local, timeoutMilliseconds: 150 }

    it('ends for a server that never answers', async () => {
      await using server = await startDocumentServer(() => {})
      expect(await refusal(server.url, soon)).toMatchObject({ code: 'timed_out' })
    })

    it('leaves no connection behind', async () => {
      let closed = 0
      await using server = await startDocumentServer((request, response) => {
        request.socket.on('close', () => {
          closed += 1
        })
        if (request.url === '/large') response.write(Buffer.alloc(100_000))
      })
      const later = { ...local, timeoutMilliseconds: 1_000 }
      expect(await refusal(`${server.url}/slow`, later)).toMatchObject({ code: 'timed_out' })
      expect(await refusal(`${server.url}/large`, local)).toMatchObject({ code: 'too_large' })
      await expect.poll(() => closed).toBe(2)
    })

    it('ends for a body that drips, however regularly', async () => {
      await using server = await startDocumentServer((_request, response) => {
        const timer = setInterval(() => response.write('.'), 20)
        response.on('close', () => clearInterval(timer))
      })
      const startedAt = performance.now()
      expect(await refusal(server.url, soon)).toMatchObject({ code: 'timed_out' })
      expect(performance.now() - startedAt).toBeLessThan(10_000)
    })

    it('ends for a server that sends nothing but interim answers', async () => {
      await using server = await startDocumentServer((_request, response) => {
        const timer = setInterval(() => response.writeProcessing(), 10)
        response.on('close', () => clearInterval(timer))
      })
      expect(await refusal(server.url, soon)).toMatchObject({ code: 'timed_out' })
    })

    it('ends at once when its caller has enough', async () => {
      const caller = new AbortController()
      await using server = await startDocumentServer(() => caller.abort(new Error('enough')))
      await expect(guardedFetch(server.url, { ...local, signal: caller.signal })).rejects.toThrow('enough')
      await expect(guardedFetch(server.url, { ...local, signal: caller.signal })).rejects.toThrow('enough')
    })

    it('ends for a name that is never resolved', async () => {
      expect(await refusal('https://slow.test/', { timeoutMilliseconds: 50, lookup: () => {} })).toMatchObject({
        code: 'timed_out',
      })
    })
  })

  it('says that a host is unreachable when nothing listens or the name is unknown', async () => {
    await using server = await startDocumentServer(() => {})
    const { url } = server
    await server[Symbol.asyncDispose]()
    expect(await refusal(url, local)).toMatchObject({ code: 'unreachable' })
    expect(await refusal('https://nowhere.invalid/', { lookup: lookupOf([]) })).toMatchObject({ code: 'unreachable' })
  })

  it('says that a host is unreachable when it hangs up', async () => {
    await using server = await startDocumentServer((request) => void request.socket.destroy())
    expect(await refusal(server.url, local)).toMatchObject({ code: 'unreachable' })
  })
})
