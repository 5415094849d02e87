import { setTimeout as pause } from 'node:timers/promises'
import { ClientError, createServiceSigner, type ServiceSigner, signerFromEnvironment } from '@countersign/client'
import {
  type RecordCarrier,
  type SignedPlatformaticProducer,
  signPlatformaticProducer,
} from '@countersign/client/kafka'
import type { Admin, Producer } from '@platformatic/kafka'
import { createLogger } from '../log/create-logger.ts'
import type { EventPublisher, PublishOptions, ServiceLogger } from '../service-context.ts'
import { ServiceError } from '../service-error.ts'
import { type Environment, itemsOf } from '../settings/settings.ts'
import { type KafkaConnection, loadKafkaClients } from './kafka-clients.ts'
import { isOutage, isUnknownTopic, kafkaFailure } from './kafka-failure.ts'
import { createMissingTopics } from './topics.ts'

export interface ServicePublisherOptions {
  /** `host:port`; default KAFKA_BROKERS. */
  readonly brokers?: readonly string[]
  /** Default: the key and the name in the environment (SERVICE_SHORT_NAME, SERVICE_SECRET_KEY). */
  readonly signer?: ServiceSigner
  /** Default `payload`: JSON objects carry their token as `M2MToken`, everything else in the header `m2m-token`. */
  readonly carrier?: RecordCarrier
  readonly connection?: KafkaConnection
  readonly logger?: ServiceLogger
  /** Default process.env. */
  readonly environment?: Environment
}

/** Publishes messages that are signed in the service's name, each attempt anew. Connects with the first. */
export class ServicePublisher implements EventPublisher {
  readonly #options: ServicePublisherOptions
  readonly #brokers: readonly string[]
  readonly #signer: ServiceSigner
  readonly #log: ServiceLogger
  readonly #topics = new Map<string, Promise<unknown>>()
  #connection: Promise<Connection> | undefined
  #isAway = false
  #probe: Promise<void> | undefined
  #closed = false

  /** Throws ServiceError `invalid_environment` without brokers, ClientError `invalid_configuration` without a usable key. */
  constructor(options: ServicePublisherOptions = {}) {
    const { environment = process.env } = options
    this.#options = options
    this.#brokers = options.brokers ?? itemsOf(environment.KAFKA_BROKERS ?? '')
    if (this.#brokers.length === 0)
      throw new ServiceError('invalid_environment', 'there is no Kafka: set KAFKA_BROKERS')
    this.#signer = options.signer ?? createServiceSigner(signerFromEnvironment(environment))
    this.#log = options.logger ?? createLogger(this.#signer.name, 'warn')
  }

  /**
   * Resolves when all replicas have the message. Plain data becomes JSON; text and bytes go as they are; null is a
   * tombstone. A topic that is not there is made. Rejects with ServiceError `not_published`, or with ClientError
   * `body_not_signable`; what the brokers did not answer in time may stand in the topic all the same.
   */
  async publish(topic: string, message: unknown, { key, tenant }: PublishOptions = {}): Promise<void> {
    if (this.#closed) throw new ServiceError('not_published', 'the publisher was closed; nothing is published any more')
    if (typeof topic !== 'string' || !topicName.test(topic)) {
      const place = typeof topic === 'string' ? topic.slice(0, 249) : 'a topic without a name'
      throw new ServiceError('not_published', `nothing was published to ${place}: a topic cannot have this name`)
    }
    this.#connection ??= this.#connect()
    const connection = await this.#connection
    const send = async (triesLeft: number): Promise<void> => {
      try {
        await this.#ensureTopic(connection.admin, topic)
        await connection.signed(tenant).send({ messages: [{ topic, key, value: message }], acks: -1 })
      } catch (error) {
        if (!isUnknownTopic(error) || triesLeft === 0) throw error
        // Somebody has deleted it since it was made, or not every broker has heard of it yet.
        this.#topics.delete(topic)
        await pause(unknownTopicMilliseconds)
        await send(triesLeft - 1)
      }
    }
    try {
      await send(unknownTopicTries)
      this.#isAway = false
    } catch (cause) {
      if (cause instanceof ClientError) throw cause
      this.#isAway ||= isOutage(cause)
      throw new ServiceError('not_published', `nothing was published to ${topic}: ${kafkaFailure(cause)}`, { cause })
    }
  }

  /** Rejects while brokers do not answer that the last message was not published for. */
  async ready(): Promise<void> {
    if (!this.#isAway) return
    this.#probe ??= this.#reach().finally(() => {
      this.#probe = undefined
    })
    await Promise.race([this.#probe, pause(probeMilliseconds, undefined, { ref: false })])
    if (this.#isAway)
      throw new Error(`nothing can be published: no broker of ${this.#brokers.join(', ')} can be reached`)
  }

  async close(): Promise<void> {
    this.#closed = true
    const connection = await this.#connection
    await connection?.producer.close()
    await connection?.admin.close()
    if (this.#options.signer === undefined) this.#signer.close()
  }

  async #connect(): Promise<Connection> {
    const { connection = {}, carrier = 'payload' } = this.#options
    const clients = await loadKafkaClients({ brokers: this.#brokers, clientId: this.#signer.name, connection })
    const producer = clients.createProducer({ retries: 0 })
    const signed = (tenant: string | undefined) =>
      signPlatformaticProducer(producer, this.#signer, { carrier, ...(tenant === undefined ? {} : { tenant }) })
    return { producer, admin: clients.createAdmin(), signed }
  }

  async #reach(): Promise<void> {
    const connection = await this.#connection
    await connection?.admin.listTopics().then(
      () => {
        this.#isAway = false
      },
      () => {},
    )
  }

  /** Once for each topic: unless told, brokers do not make them, or make them with the writer's time. */
  async #ensureTopic(admin: Admin, topic: string): Promise<void> {
    let ensured = this.#topics.get(topic)
    if (ensured === undefined) {
      ensured = createMissingTopics(admin, [topic], this.#log)
      this.#topics.set(topic, ensured)
      ensured.catch(() => this.#topics.delete(topic))
    }
    await ensured
  }
}

/** How often a message is sent again to a topic that a broker does not know, and after which pause. */
const unknownTopicTries = 10
const unknownTopicMilliseconds = 200

/** Whoever asks whether we are ready does not wait long. */
const probeMilliseconds = 1_000

const topicName = /^(?!\.\.?$)[\w.-]{1,249}$/

interface Connection {
  readonly producer: Producer
  readonly admin: Admin
  signed(tenant: string | undefined): SignedPlatformaticProducer
}
