/** A broker that a test may kill: its own, never the one that all tests share. */
export interface OwnBroker {
  readonly brokers: string
  /** As by a power cut; `start` goes on with what was written. */
  crash(): void
  start(): Promise<void>
  stop(): void
}

export async function startOwnBroker(): Promise<OwnBroker> {
  const module = (name: string) => import(new URL(`../../../../scripts/services/${name}`, import.meta.url).href)
  const { kafkaJars } = await module('kafka-jars.js')
  const { startKafka } = await module('kafka.js')
  return startKafka({ jars: kafkaJars(console.error) })
}
