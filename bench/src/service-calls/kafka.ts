import { randomUUID } from 'node:crypto'
import { type PlatformaticMessage, signPlatformaticProducer } from '@countersign/client/kafka'
import { type Consumption, consumePlatformatic } from '@countersign/guard/kafka'
import { Admin, Consumer, Producer } from '@platformatic/kafka'
import type { Figure } from '../figures.ts'
import { addedCost, processorMicroseconds } from './added-cost.ts'
import { startBroker } from './broker.ts'
import { message, type Parties } from './parties.ts'

const messagesARound = 500
const messagesASend = 50

/** Sent fifty at a time and consumed one after the other, by the same loop: with a token in the header, and without. */
export async function benchKafka(parties: Parties): Promise<Figure[]> {
  await using broker = await startBroker()
  if (broker === undefined) return []
  const { bootstrapBrokers } = broker
  const producer = new Producer({ clientId: 'order', bootstrapBrokers, retries: 0 })
  const plain = await openTopic('accepted', bootstrapBrokers, producer, parties)
  const signed = await openTopic('required', bootstrapBrokers, producer, parties)
  const signing = signPlatformaticProducer(producer, parties.signer)
  try {
    const figure = await addedCost('add to a Kafka message (@platformatic/kafka)', parties.rawMicroseconds, {
      without: () => round(plain, (messages) => producer.send({ messages: messages.map(bytesOf) })),
      with: () => round(signed, (messages) => signing.send({ messages })),
    })
    return [figure]
  } finally {
    for (const topic of [plain, signed]) await topic.close()
    await producer.close()
  }
}

interface Topic {
  name: string
  /** Resolves when so many more messages were handled. */
  handled(count: number): Promise<void>
  close(): Promise<void>
}

async function openTopic(
  serviceToken: 'accepted' | 'required',
  bootstrapBrokers: string[],
  producer: Producer,
  { verifier }: Parties,
): Promise<Topic> {
  const name = `bench-${randomUUID()}`
  const admin = new Admin({ clientId: 'bench', bootstrapBrokers })
  const topics = [name, `${name}.dead-letter`]
  await admin.createTopics({ topics, partitions: 1, replicas: 1 })
  await admin.close()
  const consumer = new Consumer({ clientId: 'inventory', bootstrapBrokers, groupId: name })
  let left = 0
  let done = () => {}
  const handler = () => {
    left -= 1
    if (left === 0) done()
  }
  const options = { topics: [name], verifier, serviceToken, producer, handler }
  const consumption: Consumption = consumePlatformatic(consumer, options)
  return {
    name,
    handled(count) {
      left = count
      return new Promise((resolve) => {
        done = resolve
      })
    },
    async close() {
      await consumption.stop()
      await consumer.close()
    },
  }
}

function round(topic: Topic, send: (messages: PlatformaticMessage[]) => Promise<unknown>): Promise<number> {
  return processorMicroseconds(messagesARound, async () => {
    const handled = topic.handled(messagesARound)
    const messages = Array.from({ length: messagesASend }, () => ({ topic: topic.name, value: message }))
    for (let sent = 0; sent < messagesARound; sent += messagesASend) await send(messages)
    await handled
  })
}

/** What signing does by itself. */
function bytesOf({ topic, value }: PlatformaticMessage): { topic: string; value: Buffer } {
  return { topic, value: Buffer.from(JSON.stringify(value)) }
}
