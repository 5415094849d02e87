import { expect, it } from 'vitest'
import { nameOfIssuer, parseServiceName } from './service-name.ts'

it.each([
  ['order', 'order'],
  ['order-service', 'order'],
  ['0', '0'],
  ['service', 'service'],
  ['service-service', 'service'],
  ['constructor', 'constructor'],
  ['a'.repeat(63), 'a'.repeat(63)],
  [`${'a'.repeat(63)}-service`, 'a'.repeat(63)],
])('takes %s for the service %s', (text, name) => {
  expect(parseServiceName(text)).toBe(name)
})

it.each([
  '',
  '-service',
  '--service',
  '-order',
  'Order',
  'order_service',
  'order.service',
  'order ',
  'order\n',
  'order-Service',
  'örder',
  '__proto__',
  '.well-known',
  '..',
  'a/b',
  'a'.repeat(64),
  // Whose token would `order-service-service` be: that of `order-service` or of `order`?
  'order-service-service',
])('takes %j for no service', (text) => {
  expect(parseServiceName(text)).toBeUndefined()
})

it('knows the name at which an issuer with a path stands', () => {
  expect(nameOfIssuer('https://example.com/auth')).toBe('auth')
  expect(nameOfIssuer('https://example.com/auth-service/')).toBe('auth')
  expect(nameOfIssuer('https://example.com/')).toBeUndefined()
  expect(nameOfIssuer('https://example.com/auth/eu')).toBeUndefined()
})
