import { createService, Problem } from '@countersign/service'

interface Sale {
  productId: string
  quantity: number
}

const stock = new Map([
  ['teapot', 100],
  ['cup', 400],
])
const sold = new Map<string, number>()

const service = await createService(new URL('service.yaml', import.meta.url).pathname, {
  handlers: {
    decreaseStock: async ({ productId, quantity }: Sale) => {
      const left = (stock.get(productId) ?? 0) - quantity
      if (left < 0) throw new Problem(409, 'out_of_stock', `There is not enough of ${productId}; order less.`)
      stock.set(productId, left)
      return { left }
    },
    recordSale: async ({ productId, quantity }: Sale) => {
      sold.set(productId, (sold.get(productId) ?? 0) + quantity)
      return { sold: sold.get(productId) }
    },
  },
})
await service.start()
