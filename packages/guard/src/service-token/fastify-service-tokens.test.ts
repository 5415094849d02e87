import Fastify from 'fastify'
import { guardFastify } from '../fastify.ts'
import { describeServiceTokens, tellCall } from './adapter-attacks.fixture.ts'

describeServiceTokens('fastify', async (guard) => {
  const app = Fastify({ bodyLimit: 2_000_000 })
  app.addHook('onRequest', async (request) => {
    Object.assign(request, { m2mPayload: { sender: 'evil-service' } })
  })
  await app.register(guardFastify, { guard })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.all('*', async (request) => tellCall(request, request.body as Buffer | undefined))
  return { origin: await app.listen({ host: '127.0.0.1', port: 0 }), close: () => app.close() }
})
