import { createMd5TokenSigner, md5MessageHash, md5RequestHash } from '@countersign/tokens'
import { describe, expect, it } from 'vitest'
import { reasonOf } from './reason.fixture.ts'
import type { ReceivedKafkaRecord } from './received-call.ts'
import { call, decode, inventory, now, order, received, senders, setTime, time } from './receiver.fixture.ts'

describe('the md5 profile', () => {
  const signer = (options: { kid?: false } = {}) => {
    const md5 = createMd5TokenSigner({ name: 'order', key: order.key, now })
    if (options.kid !== false) return md5
    return {
      sign: (requestHash: string) => {
        const iat = Math.floor(time / 1000)
        const claims = { iss: 'order-service', sender: 'order-service', requestHash, iat, exp: iat + 900 }
        return order.forge(claims, { typ: 'JWT', kid: undefined })
      },
    }
  }
  const hash = () => md5RequestHash(received)

  it('is refused unless the receiver has opted in', async () => {
    expect(await reasonOf(inventory().verify(signer().sign(hash()), received))).toBe('typ')
    expect(await reasonOf(inventory({ md5: false }).verify(signer().sign(hash()), received))).toBe('typ')
    const caller = await inventory({ md5: true }).verify(signer().sign(hash()), received)
    expect(caller).toMatchObject({ clientId: 'order-service', audience: 'inventory-service' })
    expect(caller.tokenId).toBeUndefined()
  })

  it('passes again, since it has no jti, and says what differs', async () => {
    const verifier = inventory({ md5: true })
    const token = signer().sign(hash())
    for (let round = 0; round < 2; round++) expect(await reasonOf(verifier.verify(token, received))).toBe('accepted')
    expect(await reasonOf(verifier.verify(token, { ...received, target: '/v1/other?sku=1' }))).toBe('digest')
    expect(await reasonOf(verifier.verify(token, { ...received, content: Buffer.from('{"n":2}') }))).toBe('digest')
    expect(await reasonOf(verifier.verify(token, { ...received, content: Buffer.from('no json') }))).toBe('digest')
    setTime(time + 911_000)
    expect(await reasonOf(verifier.verify(token, received))).toBe('expired')
  })

  it('finds the key of a token that names none, also while the sender changes it', async () => {
    const unnamed = () => signer({ kid: false }).sign(hash())
    expect(await reasonOf(inventory({ md5: true }).verify(unnamed(), received))).toBe('accepted')
    senders.published.set('order', [])
    await senders.add('order')
    senders.published.get('order')!.push(order.key.publicJwk)
    expect(await reasonOf(inventory({ md5: true }).verify(unnamed(), received))).toBe('accepted')
    senders.published.get('order')!.pop()
    expect(await reasonOf(inventory({ md5: true }).verify(unnamed(), received))).toBe('signature')
  })

  it('never checks a service token, and is never tried after one (11)', async () => {
    const verifier = inventory({ md5: true })
    const iat = Math.floor(time / 1000)
    const claims = { iss: 'order-service', sender: 'order-service', requestHash: hash(), iat, exp: iat + 60 }
    expect(await reasonOf(verifier.verify(order.forge(claims), received))).not.toBe('accepted')
    expect(await reasonOf(verifier.verify(order.forge({ ...claims, sub: 'order-service' }), received))).not.toBe(
      'accepted',
    )
    const { req, ...rest } = decode(order.forCall(call))
    expect(await reasonOf(verifier.verify(order.forge({ ...rest, req }, { typ: 'JWT' }), received))).toBe('digest')
  })

  it('takes a message over Kafka, in payload and header, and nothing over gRPC', async () => {
    const message = { orderId: 7 }
    const verifier = inventory({ md5: true })
    const token = signer().sign(md5MessageHash(message))
    const record: ReceivedKafkaRecord = {
      transport: 'kafka',
      topic: 't',
      partition: 0,
      offset: 1n,
      group: 'g',
      key: null,
      value: Buffer.from(JSON.stringify(message)),
      carrier: 'header',
      timestamp: time,
      timestampType: 'append',
    }
    expect(await reasonOf(verifier.verify(token, record))).toBe('accepted')
    const carried = { ...record, carrier: 'payload', message: { ...message, M2MToken: token } } as const
    expect(await reasonOf(verifier.verify(token, carried))).toBe('accepted')
    expect(await reasonOf(verifier.verify(token, { ...record, value: Buffer.from('{"orderId":8}') }))).toBe('digest')
    for (const value of [null, Buffer.from('7'), Buffer.from('{')]) {
      expect(await reasonOf(verifier.verify(token, { ...record, value }))).toBe('digest')
    }
    const rpc = { transport: 'grpc', method: '/a.B/C', message: Buffer.from([]) } as const
    expect(await reasonOf(verifier.verify(token, rpc))).toBe('typ')
  })

  it('takes the URL that senders put before the path', async () => {
    const requestHash = md5RequestHash(received)
    expect(requestHash).toHaveLength(32)
    const { createHash } = await import('node:crypto')
    const form = { method: 'POST', url: 'https://api.example/v1/stock', params: { sku: '1' }, data: { n: 1 } }
    const token = signer().sign(createHash('md5').update(JSON.stringify(form)).digest('hex'))
    expect(await reasonOf(inventory({ md5: true }).verify(token, received))).toBe('digest')
    const md5 = { publicBase: 'https://api.example' }
    expect(await reasonOf(inventory({ md5 }).verify(token, received))).toBe('accepted')
  })
})
