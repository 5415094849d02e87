export type { Consumption, ConsumptionOptions } from './kafka/consumption.ts'
export { type DeadLetter, deadLetterTopicOf, isDeadLetterTopic, type RecordFailure } from './kafka/dead-letter.ts'
export type { KafkaMessage, KafkaRecord, RecordHeader } from './kafka/kafka-record.ts'
export {
  consumeKafkajs,
  type KafkajsConsumer,
  type KafkajsConsumptionOptions,
  type KafkajsWriter,
} from './kafka/kafkajs.ts'
export { type OpenedRecord, openRecord, type RecordToken } from './kafka/open-record.ts'
export {
  consumePlatformatic,
  type PlatformaticConsumer,
  type PlatformaticConsumptionOptions,
  type PlatformaticWriter,
} from './kafka/platformatic.ts'
export type { RecordLogger } from './kafka/process-record.ts'
export { type ReceivingOptions, type RecordVerifier, receiveRecord, verifyRecord } from './kafka/receive-record.ts'
