export {
  type KafkajsMessage,
  type KafkajsProducer,
  type KafkajsRecord,
  type SignedKafkajsProducer,
  signKafkajsProducer,
} from './kafka/kafkajs.ts'
export {
  type PlatformaticMessage,
  type PlatformaticProducer,
  type PlatformaticSigningOptions,
  type ProducerSigningOptions,
  type SignedPlatformaticProducer,
  signPlatformaticProducer,
} from './kafka/platformatic.ts'
export {
  type RecordCarrier,
  type RecordSigner,
  type RecordSigningOptions,
  type RecordToSign,
  type SignedRecord,
  signRecord,
} from './kafka/sign-record.ts'
