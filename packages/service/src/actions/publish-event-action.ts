import type { PublishEventAction } from '../document/service-document.ts'
import { reasonOf } from '../log/describe-error.ts'
import { ServiceError } from '../service-error.ts'
import { ActionError } from './action-error.ts'
import type { ActionRun, ActionRuntime } from './action-runtime.ts'

/** Publishes a signed message. */
export function createPublishEvent(
  { name, topic, message, key }: PublishEventAction,
  runtime: ActionRuntime,
): ActionRun {
  return async (context, { tenant }) => {
    const options = { tenant, key: keyOf(key?.evaluate(context)) }
    try {
      await runtime.publisher.publish(topic, message.evaluate(context), options)
    } catch (cause) {
      // The publisher's own sentence names the topic already.
      const sentence =
        cause instanceof ServiceError ? cause.message : `nothing was published to ${topic}: ${reasonOf(cause)}`
      throw new ActionError(name, 'not_published', sentence, { cause })
    }
  }
}

function keyOf(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined
  return typeof value === 'string' ? value : JSON.stringify(value)
}
