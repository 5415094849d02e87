import { createService } from '@countersign/service'

const prices: Record<string, number> = { teapot: 25, cup: 6 }
let orders = 0

const service = await createService(new URL('service.yaml', import.meta.url).pathname, {
  handlers: {
    placeOrder: async ({ productId, quantity }: { productId: string; quantity: number }) => {
      orders += 1
      return { orderId: `order-${orders}`, total: (prices[productId] ?? 10) * quantity }
    },
  },
  functions: {
    processPaymentWebhook: async (request) => ({ status: 'processed', by: request.m2mPayload?.sender }),
  },
})
await service.start()
