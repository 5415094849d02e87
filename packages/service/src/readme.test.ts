import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { readServiceDocument } from './document/read-service-document.ts'
import { createService } from './service.ts'
import { createWorld, logLines } from './world.fixture.ts'

it('the example of the README runs', async () => {
  const world = await createWorld()
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const [, example] = /```ts\n([\s\S]*?)```/.exec(readme)!
  // Inside the package, so that its own name resolves as it does for a user.
  const file = fileURLToPath(new URL(`../readme-example-${process.pid}.ts`, import.meta.url))
  await writeFile(file, `${example}\nconsole.log(JSON.stringify({ url: service.url }))\n`)
  const env = { ...process.env, ...world.environment, SERVICE_SHORT_NAME: 'inventory' }
  const child = spawn(process.execPath, ['--conditions=source', '--disable-warning=ExperimentalWarning', file], { env })
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  try {
    await expect.poll(() => output, { timeout: 30_000 }).toContain('{"url":')
    const url = /\{"url":"([^"]+)"\}/.exec(output)![1]!
    const order = await createService(
      {
        actions: {
          interserviceCallActions: [
            {
              name: 'updateInventory',
              targetService: 'inventory',
              targetApi: 'decreaseStock',
              apiParameters: [
                { name: 'productId', value: 'this.productId' },
                { name: 'quantity', value: 'this.quantity' },
              ],
            },
          ],
        },
      },
      { environment: world.environmentOf('order'), services: { inventory: url }, logger: logLines() },
    )
    expect(await order.actions.updateInventory!({ productId: 'p-1', quantity: 2 })).toEqual({ left: 3 })
    await expect.poll(() => output).toContain('asked by order-service')
    expect((await fetch(`${url}/v1/stock/p-1/decrease`, { method: 'POST' })).status).toBe(401)
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
  } finally {
    child.kill('SIGKILL')
    await rm(file)
    await world[Symbol.asyncDispose]()
  }
})

it('the document in the README of the project is one', async () => {
  const readme = await readFile(new URL('../../../README.md', import.meta.url), 'utf8')
  const [, document] = /```yaml\n([\s\S]*?)```/.exec(readme)!
  expect(readServiceDocument(document).businessApis.map(({ name }) => name)).toEqual(['decreaseStock'])
})
