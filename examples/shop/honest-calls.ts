import { createServiceDirectory, createServiceSigner, createSignedFetch } from '@countersign/client'
import type { LogLine, Program } from './program.ts'
import type { Shop } from './shop.ts'

/** One order and one payment; what every receiver verified on the way. True when all of it was. */
export async function honestCalls(shop: Shop): Promise<boolean> {
  const { order, inventory, notification } = shop
  const placed = await fetch(`${shop.at.order}/v1/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ productId: 'teapot', quantity: 2 }),
  })
  console.log(
    `POST ${shop.at.order}/v1/orders  (open to anybody, no token)\n  ${placed.status} ${await placed.text()}\n`,
  )

  const signer = createServiceSigner({ name: 'payment', secretKey: shop.keys.payment! })
  const signedFetch = createSignedFetch(signer, {
    directory: createServiceDirectory({ services: { order: shop.at.order } }),
  })
  const paid = await signedFetch(`${shop.at.order}/webhooks/payment`, { method: 'POST', body: '{"orderId":"order-1"}' })
  signer.close()
  console.log(
    `POST ${shop.at.order}/webhooks/payment  (signed by the payment service)\n  ${paid.status} ${await paid.text()}\n`,
  )

  console.log('What each receiver verified:')
  const hops = [
    await hop(inventory, 'http', 'order-service', 'decreaseStock over REST'),
    await hop(inventory, 'grpc', 'order-service', 'recordSale over gRPC'),
    await hop(notification, 'kafka', 'order-service', 'orders.created over Kafka'),
    await hop(order, 'http', 'payment-service', 'the payment webhook'),
  ]
  await notification.line(({ msg }) => msg === 'customer notified')
  console.log(
    '\nEvery token was good for exactly that call, once. Try what an attacker would: npm run example -- attacks',
  )
  return placed.ok && paid.ok && hops.every(({ profile }) => profile === 'm2m')
}

async function hop(receiver: Program, transport: string, sender: string, what: string): Promise<LogLine> {
  const line = await receiver.line(
    (each) => each.msg === 'service token accepted' && each.transport === transport && each.sender === sender,
  )
  console.log(`  ✓ ${what}: ${sender} → ${line.receiver}, signature, audience, ${bound[transport]}, first use`)
  console.log(`      ${line.target}   jti ${line.tokenId}`)
  return line
}

const bound: Record<string, string> = {
  http: 'method, target and body',
  grpc: 'method and message',
  kafka: 'topic, key and message',
}
