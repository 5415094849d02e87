import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'

const brokers = process.env.COUNTERSIGN_TEST_KAFKA_BROKERS

describe.skipIf(brokers === undefined)('the shop', () => {
  it('has every hop verified by its receiver', async () => {
    const { code, output } = await run([])
    for (const hop of [
      'decreaseStock over REST',
      'recordSale over gRPC',
      'orders.created over Kafka',
      'the payment webhook',
    ])
      expect(output).toContain(`✓ ${hop}: `)
    expect(code, output).toBe(0)
  })

  it('refuses every attack for its own reason', async () => {
    const { code, output } = await run(['attacks'])
    expect(output).toContain('11 of 11 attacks were refused')
    expect(code, output).toBe(0)
  })
})

it('says at once what it cannot do', async () => {
  expect(await run(['attack'])).toMatchObject({
    code: 2,
    output: expect.stringContaining('npm run example -- attacks'),
  })
  const { code, output } = await run([], '127.0.0.1:1')
  expect(code, output).toBe(1)
  expect(output).toContain('Kafka at 127.0.0.1:1 cannot be used (ECONNREFUSED); check KAFKA_BROKERS')
  expect(output).toMatch(/^\w+ did not start; why, it said above$/m)
  expect(output).not.toContain('AggregateError')
})

async function run(words: readonly string[], kafka = brokers): Promise<{ code: number; output: string }> {
  const main = new URL('main.ts', import.meta.url).pathname
  const flags = ['--conditions=source', '--disable-warning=ExperimentalWarning']
  const child = spawn(process.execPath, [...flags, main, ...words], {
    env: { ...process.env, KAFKA_BROKERS: kafka ?? 'none:1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exit = new Promise<number>((resolve) => child.on('exit', (code) => resolve(code ?? 1)))
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { code: await exit, output: output + errors }
}
