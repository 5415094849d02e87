import { createServiceSigner } from '@countersign/client'
import { type CallSigner, signedCallOptions } from '@countersign/client/grpc'
import { type RecordSigner, signRecord } from '@countersign/client/kafka'
import { generateSigningKey, httpBinding } from '@countersign/tokens'
import { credentials, loadPackageDefinition, type ServiceError } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { Producer, stringSerializers } from '@platformatic/kafka'
import type { Shop } from './shop.ts'

/** What an attacker does who has seen a call, or is a service that may not call. True when everything was refused. */
export async function attacks(shop: Shop, brokers: string): Promise<boolean> {
  const order = createServiceSigner({ name: 'order', secretKey: shop.keys.order! })
  const billing = createServiceSigner({ name: 'billing', secretKey: shop.keys.billing! })
  const thief = createServiceSigner({ name: 'order', secretKey: await strangersKey() })
  const url = `${shop.at.inventory}/v1/stock/decrease`
  const body = JSON.stringify({ productId: 'cup', quantity: 1 })
  const token = (signer: typeof order) =>
    signer.sign({
      audience: 'inventory-service',
      binding: httpBinding({ method: 'POST', target: '/v1/stock/decrease', content: Buffer.from(body) }),
    })
  const send = async (serviceToken: string, content = body, address = url) => {
    const headers = { 'content-type': 'application/json', 'x-m2m-token': serviceToken }
    const answer = await fetch(address, { method: 'POST', headers, body: content })
    return { status: answer.status, ...((await answer.json()) as { reason?: string; detail?: string; left?: number }) }
  }

  const seen = token(order)
  const first = await send(seen)
  console.log(`The honest call first: POST ${url}\n  ${first.status} {"left":${first.left}}\n`)
  const outcomes = [
    say('replay: the same call again', 'replayed', await send(seen)),
    say('changed body: a hundred cups', 'digest', await send(token(order), body.replace('1', '100'))),
    say('changed target: a query added', 'target', await send(token(order), body, `${url}?force=1`)),
    say('a sender who is not allowed: billing', 'sender', await send(token(billing))),
    say("wrong key: a stranger signs in order's name", 'kid', await send(token(thief))),
    say('gRPC with no token', 'missing_credential', await recordSale(shop)),
    say('gRPC, signed by billing', 'sender', await recordSale(shop, billing)),
    ...(await kafkaAttacks(shop, brokers, { order, billing })),
  ]
  for (const signer of [order, billing, thief]) signer.close()
  const refused = outcomes.filter(Boolean).length
  console.log(`\n${refused} of ${outcomes.length} attacks were refused, each for its own reason.`)
  return first.status === 200 && refused === outcomes.length
}

function say(what: string, expected: string, answer: { status: number | string; reason?: unknown; detail?: unknown }) {
  const isRefused = answer.reason === expected
  console.log(`  ${isRefused ? '✗' : '!! NOT REFUSED AS EXPECTED:'} ${what}`)
  console.log(`      ${answer.status} ${answer.reason ?? ''}: ${answer.detail ?? ''}`)
  return isRefused
}

async function strangersKey(): Promise<string> {
  const { privateKey } = await generateSigningKey('EdDSA')
  return privateKey.export({ format: 'pem', type: 'pkcs8' }) as string
}

async function recordSale(shop: Shop, signer?: CallSigner) {
  const file = new URL('inventory/inventory.proto', import.meta.url).pathname
  // biome-ignore lint/suspicious/noExplicitAny: what a .proto file holds has no types here.
  const { Inventory } = loadPackageDefinition(loadSync(file)).shop as any
  const options = signer === undefined ? {} : signedCallOptions(signer, { audience: 'inventory-service' })
  const client = new Inventory(shop.at['inventory:grpc'], credentials.createInsecure(), options)
  const { promise, resolve } = Promise.withResolvers<{ status: string; reason?: string; detail?: string }>()
  client.recordSale({ productId: 'cup', quantity: 1 }, (error: ServiceError | null) => {
    const reason = error?.metadata.get('m2m-reason')[0]?.toString() || error?.metadata.get('m2m-error')[0]?.toString()
    resolve({ status: `gRPC ${error?.code ?? 0}`, reason, detail: error?.details })
  })
  return promise.finally(() => client.close())
}

/** Each ends in the dead-letter topic with its reason, and the consumer goes on. */
async function kafkaAttacks(
  shop: Shop,
  brokers: string,
  { order, billing }: Record<'order' | 'billing', RecordSigner>,
): Promise<boolean[]> {
  const producer = new Producer({
    clientId: 'attacker',
    bootstrapBrokers: [brokers],
    serializers: stringSerializers,
  })
  const send = (value: Buffer | null) =>
    producer.send({ messages: [{ topic: 'orders.created', value: String(value) }] })
  const message = { orderId: 'order-9', total: 1 }
  const good = signRecord(order, { topic: 'orders.created', value: message }, { carrier: 'payload' })
  const other = signRecord(order, { topic: 'orders.cancelled', value: message }, { carrier: 'payload' })
  const blocked = signRecord(billing, { topic: 'orders.created', value: message }, { carrier: 'payload' })
  const changed = Buffer.from(String(good.value).replace('"total":1', '"total":999'))
  const outcomes: boolean[] = []
  try {
    for (const [what, reason, value] of [
      ['changed topic: a message signed for orders.cancelled', 'aud', other.value],
      ['changed message: total 999', 'digest', changed],
      ['blocked sender: billing again', 'sender', blocked.value],
    ] as const) {
      const start = shop.notification.lines.length
      await send(value)
      const line = await shop.notification.line(({ msg }) => msg === 'service token refused', start)
      outcomes.push(say(what, reason, { ...line, status: 'to orders.created.dead-letter' }))
    }
    await send(good.value)
    await shop.notification.line(({ msg }) => msg === 'customer notified')
    console.log('  ✓ and the consumer went on: the honest message after them was delivered')
    const start = shop.notification.lines.length
    await send(good.value)
    const line = await shop.notification.line(({ msg }) => msg === 'service token refused', start)
    outcomes.push(
      say('replay on Kafka: the honest message again', 'replayed', {
        ...line,
        status: 'to orders.created.dead-letter',
      }),
    )
  } finally {
    await producer.close()
  }
  return outcomes
}
