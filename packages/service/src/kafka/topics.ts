import { isDeadLetterTopic } from '@countersign/guard/kafka'
import type { Admin, ConfigResourceTypes } from '@platformatic/kafka'
import { describeError } from '../log/describe-error.ts'
import type { ServiceLogger } from '../service-context.ts'
import { hasApiId } from './kafka-failure.ts'

/**
 * Makes topics that are not there, with the broker's numbers of partitions and replicas, and with the time of appending
 * as their records' time: against it tokens are checked, however late they are read. Where it may not make them, whoever
 * runs the brokers must; that is logged, and refused by the broker when the topic is used.
 */
export async function createMissingTopics(
  admin: Admin,
  topics: readonly string[],
  log: ServiceLogger,
): Promise<{ existing: string[] }> {
  const known = new Set(await admin.listTopics())
  const missing = [...new Set(topics)].filter((topic) => !known.has(topic))
  for (const topic of missing) {
    try {
      await admin.createTopics({ topics: [topic], partitions: -1, replicas: -1, configs: settingsOf(topic) })
      log.info({ topic }, 'a Kafka topic was made')
    } catch (error) {
      if (!hasApiId(error, 'TOPIC_ALREADY_EXISTS')) {
        log.warn({ topic, err: describeError(error) }, 'a Kafka topic is not there and could not be made; make it')
      }
    }
  }
  return { existing: topics.filter((topic) => known.has(topic)) }
}

/** Tells of topics whose records have the time that their writer gives. */
export async function warnOfCreateTime(admin: Admin, topics: readonly string[], log: ServiceLogger): Promise<void> {
  if (topics.length === 0) return
  try {
    const resources = topics.map((resourceName) => ({
      resourceType: topicResource,
      resourceName,
      configurationKeys: [timestampType],
    }))
    for (const { resourceName, configs } of await admin.describeConfigs({ resources })) {
      const value = configs.find(({ name }) => name === timestampType)?.value
      if (value === 'LogAppendTime') continue
      log.warn(
        { topic: resourceName },
        `the topic takes its records' time from their writers (${timestampType}=${value}), so that the tokens of records ` +
          'that are read later than 15 minutes are refused; set LogAppendTime',
      )
    }
  } catch (error) {
    log.warn({ topics, err: describeError(error) }, `whose time records of these topics have could not be read`)
  }
}

const timestampType = 'message.timestamp.type'
/** As a number: the enumeration itself would load the client where there is no Kafka. */
const topicResource: typeof ConfigResourceTypes.TOPIC = 2

function settingsOf(topic: string): { name: string; value: string }[] {
  const settings = [{ name: timestampType, value: 'LogAppendTime' }]
  // A record that just fitted into its topic must fit with the notes that it is put aside with.
  if (isDeadLetterTopic(topic)) settings.push({ name: 'max.message.bytes', value: String(4 * 1_048_576) })
  return settings
}
