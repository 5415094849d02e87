import { connect } from 'node:http2'
import { Server, ServerCredentials, status } from '@grpc/grpc-js'
import { expect, it } from 'vitest'
import { arrivalLimit } from './arrival-limit.ts'
import { typesMethod } from './served-types.ts'

const limitMilliseconds = 500

it('ends calls whose request does not arrive in time, and no others', async () => {
  const server = new Server({ interceptors: [arrivalLimit(limitMilliseconds)] })
  let handled = 0
  server.addService({ Get: typesMethod }, {
    Get: (_call: unknown, callback: (error: null, answer: string) => void) => {
      handled += 1
      setTimeout(() => callback(null, 'late but whole'), 2 * limitMilliseconds)
    },
  } as never)
  const port = await new Promise<number>((done) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (_error, bound) => done(bound)),
  )
  const session = connect(`http://127.0.0.1:${port}`)
  const call = (send: Uint8Array[], end: boolean) =>
    new Promise<number>((resolve) => {
      const stream = session.request(
        { ':method': 'POST', ':path': typesMethod.path, 'content-type': 'application/grpc', te: 'trailers' },
        { endStream: false },
      )
      let code = -1
      const note = (headers: Record<string, unknown>) => {
        if ('grpc-status' in headers) code = Number(headers['grpc-status'])
      }
      stream
        .on('response', note)
        .on('trailers', note)
        .on('error', () => {})
        .once('close', () => resolve(code))
      stream.resume()
      for (const bytes of send) stream.write(bytes)
      if (end) stream.end()
    })
  const message = Buffer.from([0, 0, 0, 0, 1, 120])
  expect(await call([], false), 'headers alone').toBe(status.DEADLINE_EXCEEDED)
  expect(await call([message.subarray(0, 3)], false), 'half a frame').toBe(status.DEADLINE_EXCEEDED)
  expect(await call([message], false), 'a message without an end').toBe(status.DEADLINE_EXCEEDED)
  expect(handled).toBe(0)
  expect(await call([message], true), 'a slow handler').toBe(status.OK)
  session.close()
  server.forceShutdown()
})
