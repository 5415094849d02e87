import { reasonOf } from '../log/describe-error.ts'

/** What @platformatic/kafka reports, which stands somewhere in a chain of errors that say little themselves. */
interface KafkaError extends Error {
  /** Kafka's own name of an error, such as `MESSAGE_TOO_LARGE`. */
  readonly apiId?: unknown
  readonly code?: unknown
}

/** Why something was not done, for people. */
export function kafkaFailure(error: unknown): string {
  const found = all(error)
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
  return all(error).some(({ code }) => code === 'PLT_KFK_NETWORK' || code === 'PLT_KFK_TIMEOUT')
}

export function isUnknownTopic(error: unknown): boolean {
  return (
    hasApiId(error, 'UNKNOWN_TOPIC_OR_PARTITION') || all(error).some(({ message }) => /^Unknown topic /.test(message))
  )
}

export function hasApiId(error: unknown, apiId: string): boolean {
  return all(error).some((one) => one.apiId === apiId)
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

/** The error and all that it was made from, the outermost first. */
function all(error: unknown, depth = 0): KafkaError[] {
  if (!(error instanceof Error) || depth > 8) return []
  const { cause, errors } = error as { cause?: unknown; errors?: unknown }
  const inner = [...(Array.isArray(errors) ? errors : []), cause]
  return [error, ...inner.flatMap((one) => all(one, depth + 1))]
}
