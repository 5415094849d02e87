import type { ServiceSigner } from '@countersign/client'
import type { ServiceDocument } from '../document/service-document.ts'
import type { EventPublisher, ServiceLogger } from '../service-context.ts'
import type { ServiceSettings } from '../settings/settings.ts'
import type { KafkaConnection } from './kafka-clients.ts'
import { ServicePublisher } from './service-publisher.ts'

/** The publisher of a whole service, which is there also where it can publish nothing. */
export interface OwnPublisher extends EventPublisher {
  /** For the log, at start. */
  notices(actions: ServiceDocument['actions']): string[]
  ready(): Promise<void>
  close(): Promise<void>
}

/** With the service's own key, to the brokers of KAFKA_BROKERS. */
export function createPublisher(options: {
  settings: ServiceSettings
  signer: ServiceSigner | undefined
  connection: KafkaConnection
  log: ServiceLogger
}): OwnPublisher {
  const { settings, signer, connection, log } = options
  const missing = [
    ...(settings.kafkaBrokers.length === 0 ? ['KAFKA_BROKERS'] : []),
    ...(signer === undefined ? ['SERVICE_SECRET_KEY'] : []),
  ]
  const publisher =
    signer === undefined || missing.length > 0
      ? undefined
      : new ServicePublisher({ brokers: settings.kafkaBrokers, signer, connection, logger: log })
  return {
    async publish(topic, message, publishing) {
      if (publisher === undefined) throw new Error(`nothing can be published: set ${missing.join(' and ')}`)
      await publisher.publish(topic, message, publishing)
    },
    notices({ publishEventActions }) {
      if (publisher !== undefined || publishEventActions.length === 0) return []
      const names = publishEventActions.map(({ name }) => name).join(', ')
      return [`${names} can publish nothing: set ${missing.join(' and ')}`]
    },
    async ready() {
      await publisher?.ready()
    },
    async close() {
      await publisher?.close()
    },
  }
}
