import { httpBinding } from '@countersign/tokens'
import { expect, it } from 'vitest'
import { createLogger } from './log/create-logger.ts'
import { rawRequest } from './raw-http.fixture.ts'
import { createWorld } from './world.fixture.ts'

it('shows no token, key or session in any log line, answer, metric or error', async () => {
  const lines: string[] = []
  const logger = createLogger('canary', 'trace', (line) => lines.push(line))
  const world = await createWorld()
  const answers: string[] = []
  const both = { loginRequired: true, M2MAllowed: true }
  const service = await world.start(
    'canary',
    {
      businessApis: [
        { name: 'fine', authOptions: both },
        { name: 'throws', authOptions: both },
        { name: 'acts', authOptions: both, actions: ['callOut'] },
      ],
      actions: {
        apiCallActions: [
          { name: 'callOut', apiCallRequest: { method: 'POST', url: 'http://127.0.0.1:9/x', body: 'this.input' } },
        ],
      },
    },
    {
      logger,
      handlers: {
        fine: (_input, { log, caller }) => void log.info({ caller }, 'a handler that logs whom it serves'),
        throws: (input) => {
          throw new Error(`a handler that shows what it got: ${JSON.stringify(input)}`)
        },
        acts: (input) => input,
      },
    },
  )
  const tokens: string[] = []
  const send = async (path: string, token: string, header = 'x-m2m-token', content = '') => {
    tokens.push(token.replace(/^Bearer /, ''))
    const head = [`POST ${path} HTTP/1.1`, `${header}: ${token}`, 'Content-Type: application/json']
    answers.push((await rawRequest(service.url, [...head, `Content-Length: ${content.length}`], content)).text)
  }
  const tokenFor = (target: string, content = '') =>
    world.signer('order').sign({
      audience: 'canary-service',
      binding: httpBinding({ method: 'POST', target, content: Buffer.from(content) }),
    })

  for (const path of ['/fine', '/throws', '/acts']) {
    const content = JSON.stringify({ leaked: tokenFor('/elsewhere') })
    tokens.push(JSON.parse(content).leaked)
    await send(path, tokenFor(path, content), 'x-m2m-token', content)
    await send(path, tokenFor('/other'))
    await send(path, `${tokenFor(path)}, ${tokenFor(path)}`)
    await send(path, `${tokenFor(path).slice(0, -9)}AAAAAAAAA`)
    await send(path, `Bearer ${world.userToken()}`, 'authorization', content)
    await send(path, `Bearer ${world.userToken({ aud: 'https://elsewhere.example' })}`, 'authorization')
    await send(path, `session=${world.userToken({ exp: 1 })}`, 'cookie')
    const token = tokenFor(path)
    await send(path, token)
    await send(path, token)
  }
  await send(`/nowhere/${tokenFor('/x')}?access_token=${tokenFor('/y')}`, tokenFor('/z'))
  answers.push(await (await fetch(`${service.url}/metrics`)).text())
  await world[Symbol.asyncDispose]()

  expect(lines.some((line) => line.includes('service token refused'))).toBe(true)
  expect(lines.some((line) => line.includes('a handler that shows what it got'))).toBe(true)
  expect(answers.some((answer) => answer.startsWith('HTTP/1.1 500'))).toBe(true)
  expect(answers.some((answer) => answer.startsWith('HTTP/1.1 502'))).toBe(true)
  const everything = [...lines, ...answers.filter((answer) => !answer.includes('"leaked"'))].join('\n')
  expect(everything).not.toContain('eyJ')
  const signatures = tokens.flatMap((token) => token.split('.')[2]?.slice(0, 40) ?? [])
  for (const signature of signatures) expect(everything).not.toContain(signature)
  expect(everything).not.toContain('PRIVATE KEY')
})
