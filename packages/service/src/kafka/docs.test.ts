import { type ChildProcess, spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { createServiceSigner } from '@countersign/client'
import { afterAll, expect, it } from 'vitest'
import { listen } from '../world.fixture.ts'
import { brokers, connectKafka, withoutKafka } from './kafka.fixture.ts'

const page = new URL('../../../../docs/kafka.md', import.meta.url)
const kafka = connectKafka()
afterAll(() => kafka.close())

it.skipIf(withoutKafka)('the programs of docs/kafka.md write and read signed records', async () => {
  const topic = kafka.topicName()
  await kafka.createTopic(topic)
  await kafka.createTopic(`${topic}.dead-letter`)
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const keys = createServer((request, response) => {
    const isOrder = request.url === '/order/.well-known/jwks.json'
    response.writeHead(isOrder ? 200 : 404, { 'content-type': 'application/json' })
    response.end(JSON.stringify(createServiceSigner({ name: 'order', secretKey: pem }).jwks()))
  })
  const port = await listen(keys)
  // Inside of the package, where what it imports is found.
  const folder = await mkdtemp(join(import.meta.dirname, 'docs-'))
  const running: ChildProcess[] = []
  try {
    const start = async (program: string, environment: Record<string, string>) => {
      const file = join(folder, program)
      await writeFile(
        file,
        (await programIn(program)).replaceAll('orders.created', topic).replaceAll('notification-service', topic),
      )
      const env = { ...process.env, KAFKA_BROKERS: brokers!, ...environment }
      const child = spawn(process.execPath, ['--conditions=source', '--disable-warning=ExperimentalWarning', file], {
        env,
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      running.push(child)
      return child
    }
    const notification = await start('notification.ts', {
      SERVICE_SHORT_NAME: 'notification',
      JWKS_URL: `http://127.0.0.1:${port}/$service/.well-known/jwks.json`,
    })
    let said = ''
    notification.stdout!.on('data', (text) => {
      said += text
    })
    // Its memory of used tokens begins with it, so nothing is signed before it runs.
    await expect.poll(() => kafka.isRead(topic, topic), { timeout: 30_000 }).toBe(true)
    const order = await start('order.ts', { SERVICE_SHORT_NAME: 'order', SERVICE_SECRET_KEY: pem })
    expect(await once(order, 'exit')).toEqual([0, null])
    await expect.poll(() => said, { timeout: 30_000 }).toBe('order-service wrote {"orderId":"o-1"}\n')
    notification.kill('SIGTERM')
    expect(await once(notification, 'exit')).toEqual([0, null])
    expect(await kafka.committed(topic, topic)).toBe(1)
  } finally {
    for (const child of running) child.kill('SIGKILL')
    keys.close()
    await rm(folder, { recursive: true, force: true })
  }
})

async function programIn(name: string): Promise<string> {
  const text = await readFile(page, 'utf8')
  return new RegExp(`\`\`\`ts\\n// ${name}\\n([^]*?)\`\`\``).exec(text)![1]!
}
