import { generateKeyPairSync } from 'node:crypto'
import { kafkaMessageBinding, kafkaRecordBinding, parseJwt } from '@countersign/tokens'
import { afterAll, describe, expect, it } from 'vitest'
import { brokers, connectKafka, withoutKafka } from './kafka.fixture.ts'
import { ServicePublisher } from './service-publisher.ts'

const secretKey = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()

describe.skipIf(withoutKafka)('ServicePublisher', () => {
  const kafka = connectKafka()
  afterAll(() => kafka.close())
  const environment = { KAFKA_BROKERS: ` ${brokers} `, SERVICE_SHORT_NAME: 'order', SERVICE_SECRET_KEY: secretKey }

  it('signs what it publishes, inside of objects and beside everything else, and makes the topic', async () => {
    const topic = kafka.topicName()
    const publisher = new ServicePublisher({ environment })
    const messages = [{ id: 1, at: new Date(0) }, [1, 2], 5, 'text', Buffer.from([0, 255]), null]
    for (const message of messages) await publisher.publish(topic, message, { key: 'k', tenant: 'acme' })
    await publisher.close()
    const records = await kafka.read(topic, messages.length)
    const key = Buffer.from('k')
    const { M2MToken, ...message } = JSON.parse(records[0]!.value!.toString())
    expect(message).toEqual({ id: 1, at: '1970-01-01T00:00:00.000Z' })
    expect(parseJwt(M2MToken).claims).toMatchObject({
      sender: 'order-service',
      aud: `kafka:${topic}`,
      tenant: 'acme',
      req: reqOf(kafkaMessageBinding({ topic, key, message })),
    })
    expect(records.slice(1).map(({ value }) => value?.toString('latin1') ?? null)).toEqual([
      '[1,2]',
      '5',
      'text',
      '\0ÿ',
      null,
    ])
    for (const { value, headers } of records.slice(1)) {
      const { req } = parseJwt(headers['m2m-token']!).claims
      expect(req).toEqual(reqOf(kafkaRecordBinding({ topic, key, value })))
    }
    expect(await kafka.settings(topic)).toMatchObject({ 'message.timestamp.type': 'LogAppendTime' })
  })

  it('says why nothing was published', async () => {
    const publisher = new ServicePublisher({ environment })
    for (const topic of ['a b', '', '..', undefined as unknown as string])
      await expect(publisher.publish(topic, {})).rejects.toMatchObject({ code: 'not_published' })
    const large = publisher.publish(kafka.topicName(), 'x'.repeat(2_000_000))
    await expect(large).rejects.toThrow(/^nothing was published to .* larger than the topic takes/)
    await publisher.close()
    const away = new ServicePublisher({ environment: { ...environment, KAFKA_BROKERS: '127.0.0.1:1' } })
    await expect(away.publish('t', {})).rejects.toMatchObject({
      name: 'ServiceError',
      code: 'not_published',
      message: 'nothing was published to t: no broker can be reached (ECONNREFUSED)',
    })
    await away.close()
  })

  it('says what is missing, and publishes nothing once it is closed', async () => {
    expect(() => new ServicePublisher({ environment: { ...environment, KAFKA_BROKERS: '' } })).toThrow(/KAFKA_BROKERS/)
    expect(() => new ServicePublisher({ environment: { ...environment, SERVICE_SECRET_KEY: '' } })).toThrow(
      /SERVICE_SECRET_KEY/,
    )
    const publisher = new ServicePublisher({ environment })
    await expect(publisher.publish(kafka.topicName(), undefined)).rejects.toMatchObject({ code: 'body_not_signable' })
    await publisher.close()
    await expect(publisher.publish('t', {})).rejects.toThrow('closed')
  })
})

function reqOf({ transport: _, ...req }: { transport: string }): object {
  return req
}
