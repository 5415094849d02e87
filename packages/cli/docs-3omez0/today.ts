// today.ts
import { createHash, createPrivateKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { SignJWT } from 'jose'

const [method, url, data] = ['POST', '/v1/stock/decrease', { productId: 'p-1', quantity: 2 }]
const hashed = JSON.stringify({ method, url, params: {}, data })
const token = await new SignJWT({
  sender: 'order-service',
  requestHash: createHash('md5').update(hashed).digest('hex'),
})
  .setProtectedHeader({ alg: 'EdDSA' })
  .setIssuer('order-service')
  .setIssuedAt()
  .setExpirationTime('15m')
  .sign(createPrivateKey(readFileSync('order.pem')))
const response = await fetch(`http://localhost:44623${url}`, {
  method,
  headers: { 'x-m2m-token': token, 'content-type': 'application/json' },
  body: JSON.stringify(data),
})
console.log('today:', response.status, (await response.json()).reason ?? '')
