import { createService } from '@countersign/service'

const service = await createService(new URL('service.yaml', import.meta.url).pathname, {
  handlers: {
    notifyCustomer: async ({ orderId, total }: { orderId: string; total: number }, { m2mPayload, log }) => {
      log.info({ orderId, total, sender: m2mPayload?.sender }, 'customer notified')
    },
  },
})
await service.start()
