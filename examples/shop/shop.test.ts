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

async function run(words: readonly string[]): Promise<{ code: number; output: string }> {
  const main = new URL('main.ts', import.meta.url).pathname
  const flags = ['--conditions=source', '--disable-warning=ExperimentalWarning']
  const child = spawn(process.execPath, [...flags, main, ...words], {
    env: { ...process.env, KAFKA_BROKERS: brokers! },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exit = new Promise<number>((resolve) => child.on('exit', (code) => resolve(code ?? 1)))
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { code: await exit, output: output + errors }
}
