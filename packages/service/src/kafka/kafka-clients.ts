import type { Admin, BaseOptions, Consumer, Producer } from '@platformatic/kafka'

/** What the clients are made with beside the brokers: `tls`, `sasl`, ... as @platformatic/kafka takes them. */
export type KafkaConnection = Partial<Pick<BaseOptions, 'tls' | 'sasl' | 'timeout' | 'connectTimeout' | 'clientRack'>>

export interface KafkaClientOptions {
  /** `host:port` */
  readonly brokers: readonly string[]
  /** The service's name, for the broker's log. */
  readonly clientId: string
  readonly connection: KafkaConnection
}

/** Clients whose keys and values are bytes. Loaded only where there is Kafka: they take memory and time at start. */
export async function loadKafkaClients({ brokers, clientId, connection }: KafkaClientOptions): Promise<{
  createAdmin(): Admin
  /** `retries`: how often it repeats a send by itself. */
  createProducer(options: { retries: number }): Producer
  createConsumer(groupId: string): Consumer
}> {
  const kafka = await import('@platformatic/kafka')
  const base: BaseOptions = { ...connection, clientId, bootstrapBrokers: [...brokers] }
  return {
    createAdmin: () => new kafka.Admin({ ...base, requestTimeout, retries: 1 }),
    createProducer: (options) => new kafka.Producer({ ...base, requestTimeout, ...options }),
    createConsumer: (groupId) => new kafka.Consumer({ ...base, groupId, ...membership }),
  }
}

/**
 * Milliseconds. A member that ended without a word is missed for as long as a session lasts, and its partitions are read by
 * nobody until then. Heartbeats go out by themselves, however long a handler takes.
 */
const membership = { sessionTimeout: 12_000, heartbeatInterval: 3_000, rebalanceTimeout: 30_000 }

/** Milliseconds. A broker says by itself after 5 s that its replicas are late; one that says nothing for longer is hung. */
const requestTimeout = 15_000
