import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { createServiceSigner } from './index.ts'
import { newPem, startReceiver, verified } from './service-token/receiver.fixture.ts'

it('runs the signing example of the README', async () => {
  await using receiver = await startReceiver()
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const [, example = ''] = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = '']) => code)
  const program = example.replace('http://$service:8080', () => `${receiver.origin}/$service`)
  expect(program).not.toBe(example)
  const options = ['--conditions=source', '--input-type=module-typescript', '--disable-warning=ExperimentalWarning']
  const pem = await newPem()
  await promisify(execFile)(process.execPath, [...options, '--eval', program], {
    cwd: import.meta.dirname,
    env: { PATH: process.env.PATH, SERVICE_SHORT_NAME: 'order', SERVICE_SECRET_KEY: pem.replaceAll('\n', '\\n') },
  })
  const [received] = receiver.received
  expect(received).toMatchObject({ method: 'POST', url: '/inventory/v1/stock', body: Buffer.from('{"quantity":2}') })
  verified(received!, createServiceSigner({ name: 'order', secretKey: pem }), 'inventory-service')
})
