// order.ts
import {
  createServiceDirectory,
  createServiceSigner,
  createSignedFetch,
  signerFromEnvironment,
} from '@countersign/client'

const signer = createServiceSigner(signerFromEnvironment())
const directory = createServiceDirectory({ services: { inventory: 'http://localhost:44623' } })
const signedFetch = createSignedFetch(signer, { directory })

const response = await signedFetch(`${directory.urlOf('inventory')}/v1/stock/decrease`, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ productId: 'p-1', quantity: 2 }),
})
console.log('order:', response.status)
signer.close()
