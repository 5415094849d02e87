import { randomUUID } from 'node:crypto'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { clients, connectKafka, createVerifier, signed, withoutKafka } from './kafka.fixture.ts'
import type { KafkaMessage } from './kafka-record.ts'

const patience = { timeout: 30_000 }

describe.skipIf(withoutKafka)('a member that stays while another comes', () => {
  const kafka = connectKafka()
  afterAll(() => kafka.close())

  it('does not read again what it has handled in the partitions that it keeps', async () => {
    const topic = await kafka.createTopic({ partitions: 2 })
    const group = randomUUID()
    const verifier = createVerifier()
    const { start } = clients.find(({ name }) => name === '@platformatic/kafka')!
    /** One that commits only where it must. */
    const member = async () => {
      const handled: number[] = []
      const handler = ({ payload }: KafkaMessage) => void handled.push(payload!.n as number)
      const options = { topics: [topic], group, verifier, handler, producer: kafka.producer as never }
      kafka.keep(await start({ ...options, ...{ commitIntervalMilliseconds: 3_600_000 } }))
      return handled
    }
    let written = 0
    const write = async (count: number) => {
      const numbers = Array.from({ length: count }, () => written++)
      await kafka.write(topic, ...numbers.map((n) => ({ ...signed(topic, { value: { n } }), partition: n % 2 })))
    }
    const partitionOffsets = [0, 1].map((partition) => ({ partition, offset: 0n }))
    await kafka.admin.alterConsumerGroupOffsets({ groupId: group, topics: [{ name: topic, partitionOffsets }] })
    const stays = await member()
    await write(60)
    await vi.waitFor(() => expect(stays).toHaveLength(60), patience)
    const comes = await member()
    // The partition that it got has no commit that counts, and so comes once more.
    await vi.waitFor(() => expect(comes).toHaveLength(30), patience)
    // What was asked for before the other came is answered after a second.
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    await write(20)
    const all = Array.from({ length: written }, (_, n) => n)
    await vi.waitFor(() => expect(all.filter((n) => !stays.includes(n) && !comes.includes(n))).toEqual([]), patience)
    expect(stays.filter((n, index) => stays.indexOf(n) !== index)).toEqual([])
  })
})
