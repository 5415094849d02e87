import { errorChain } from '@countersign/outbound/error-chain'
import { reasonOf } from '../log/describe-error.ts'

/** Why something was not done, for people. */
export function kafkaFailure(error: unknown): string {
  const found = errorChain(error)
  for (const { apiId } of found) {
    const sentence = sentences[apiId as string]
    if (sentence !== undefined) return sentence
  }
  if (isUnknownTopic(error)) return sentences.UNKNOWN_TOPIC_OR_PARTITION!
  if (found.some(({ message }) => message === 'Request timed out')) return late
  return isOutage(error) ? `no broker can be reached (${reasonOf(error)})` : reasonOf(error)
}

/** That is no matter of the message: the next one would fare no better, and this one may later. */
export function isOutage(error: unknown): boolean {
  return errorChain(error).some(({ code }) => code === 'PLT_KFK_NETWORK' || code === 'PLT_KFK_TIMEOUT')
}

export function isUnknownTopic(error: unknown): boolean {
  return (
    hasApiId(error, 'UNKNOWN_TOPIC_OR_PARTITION') ||
    errorChain(error).some(({ message }) => /^Unknown topic /.test(String(message)))
  )
}

export function hasApiId(error: unknown, apiId: string): boolean {
  return errorChain(error).some((one) => one.apiId === apiId)
}

const late = 'the broker did not answer in time; it may have been done nevertheless'

const sentences: Readonly<Record<string, string>> = {
  MESSAGE_TOO_LARGE: 'it is larger than the topic takes (max.message.bytes)',
  RECORD_LIST_TOO_LARGE: 'it is larger than the topic takes (max.message.bytes)',
  UNKNOWN_TOPIC_OR_PARTITION: 'there is no such topic, and it could not be made; make it',
  INVALID_TOPIC_EXCEPTION: 'a topic cannot have this name',
  TOPIC_AUTHORIZATION_FAILED: 'the brokers do not let this service write to the topic',
  REQUEST_TIMED_OUT: late,
  NOT_ENOUGH_REPLICAS: 'fewer replicas of the topic are there than must have each message (min.insync.replicas)',
}
