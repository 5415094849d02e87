import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('../../../scripts/services/kafka.js', import.meta.url))

export interface Broker extends AsyncDisposable {
  bootstrapBrokers: string[]
}

/** The broker that `KAFKA_BROKERS` names, else one of our own; undefined, and a sentence said, when none can be had. */
export async function startBroker(): Promise<Broker | undefined> {
  const given = process.env.KAFKA_BROKERS
  if (given) return { bootstrapBrokers: given.split(','), async [Symbol.asyncDispose]() {} }
  const child = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise<undefined>((resolve) => child.once('exit', () => resolve(undefined)))
  const started = new Promise<string>((resolve) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('KAFKA_BROKERS=')) resolve(line.slice('KAFKA_BROKERS='.length))
    })
  })
  const brokers = await Promise.race([started, ended])
  if (brokers === undefined) {
    console.error('left out: what a Kafka message costs, as no broker can be had here; set KAFKA_BROKERS to one')
    return undefined
  }
  return {
    bootstrapBrokers: brokers.split(','),
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await ended
    },
  }
}
