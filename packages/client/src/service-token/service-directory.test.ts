import { describe, expect, it } from 'vitest'
import { createServiceDirectory, type ServiceDirectoryOptions } from '../index.ts'

function problemOf(make: () => unknown): Error & { code?: string } {
  try {
    make()
  } catch (error) {
    return error as Error
  }
  throw new Error('accepted')
}

describe('a directory by template', () => {
  it.each<[string, string, string, string]>([
    ['http://$service:8080', 'http://inventory:8080', 'http://inventory:8080/v1/x?y', 'inventory-service'],
    ['https://$service.shop.svc', 'https://inventory.shop.svc', 'https://inventory.shop.svc:443/', 'inventory-service'],
    [
      'https://gw.example/$service',
      'https://gw.example/inventory',
      'https://gw.example/inventory/v1',
      'inventory-service',
    ],
    [
      'https://gw.example/a/$service/b/',
      'https://gw.example/a/inventory/b',
      'https://gw.example/a/inventory/b',
      'inventory-service',
    ],
  ])('%s', (serviceUrl, base, address, audience) => {
    const directory = createServiceDirectory({ serviceUrl })
    for (const name of ['inventory', 'inventory-service']) expect(directory.urlOf(name)).toBe(base)
    expect(directory.audienceOf(base)).toBe(audience)
    expect(directory.audienceOf(address)).toBe(audience)
  })

  it.each([
    ['http://$service:8080', 'https://inventory:8080/'],
    ['http://$service:8080', 'http://inventory:8081/'],
    ['http://$service:8080', 'http://inventory/'],
    ['http://$service:8080', 'http://inventory.evil.example:8080/'],
    ['http://$service:8080', 'http://inventory.:8080/'],
    ['http://$service:8080', 'http://10.0.0.1:8080/'],
    ['http://$service:8080', 'http://[::1]:8080/'],
    ['http://$service.svc', 'http://a.b.svc/'],
    ['http://$service.svc', 'http://inventory.svc.evil.example/'],
    ['http://$service.svc', 'http://-inventory.svc/'],
    ['http://$service.svc', 'http://in_ventory.svc/'],
    ['https://gw.example/$service', 'https://gw.example/'],
    ['https://gw.example/$service', 'https://gw.example//inventory'],
    ['https://gw.example/$service', 'https://gw.example/%69nventory'],
    ['https://gw.example/$service', 'https://gw.example/Inventory'],
    ['https://gw.example/$service', 'https://gw.example/inventory;a=b'],
    ['https://gw.example/$service', 'https://gw.example/inventory%2forder'],
    ['https://gw.example/a/$service', 'https://gw.example/b/inventory'],
    ['https://gw.example/$service', 'https://evil.example/inventory'],
  ])('%s does not know %s, which is named by its origin', (serviceUrl, address) => {
    expect(createServiceDirectory({ serviceUrl }).audienceOf(address)).toBe(new URL(address).origin)
  })

  it('reads an address as it will be sent, dots resolved', () => {
    const directory = createServiceDirectory({ serviceUrl: 'https://gw.example/$service' })
    expect(directory.audienceOf('https://gw.example/inventory/../order/x')).toBe('order-service')
    expect(directory.audienceOf('https://gw.example/inventory/%2e%2e/order/x')).toBe('order-service')
    expect(directory.audienceOf('https://inventory@gw.example/order')).toBe('order-service')
  })
})

describe('a directory by name', () => {
  const services = {
    inventory: 'https://stock.example',
    'order-service': 'https://gw.example/order/',
    refund: 'https://gw.example/order/refund',
  }

  it('finds addresses, and services at them, the deepest first', () => {
    const directory = createServiceDirectory({ services })
    expect(directory.urlOf('order')).toBe('https://gw.example/order')
    expect(directory.audienceOf('https://stock.example/anything')).toBe('inventory-service')
    expect(directory.audienceOf('https://gw.example/order/1')).toBe('order-service')
    expect(directory.audienceOf('https://gw.example/order/refund?x')).toBe('refund-service')
    expect(directory.audienceOf('https://gw.example/orders')).toBe('https://gw.example')
    expect(directory.audienceOf('https://gw.example/refund')).toBe('https://gw.example')
  })

  it('wins over the template, also at the place that a service has in the template', () => {
    const directory = createServiceDirectory({ serviceUrl: 'http://$service:8080', services })
    expect(directory.urlOf('inventory')).toBe('https://stock.example')
    expect(directory.urlOf('billing')).toBe('http://billing:8080')
    expect(directory.audienceOf('http://inventory:8080/')).toBe('http://inventory:8080')
    expect(directory.audienceOf('http://inventory-service:8080/')).toBe('http://inventory-service:8080')
    expect(directory.audienceOf('http://billing:8080/')).toBe('billing-service')
  })

  it('says where to name a service that it does not know', () => {
    const directory = createServiceDirectory({ services })
    for (const name of ['billing', '__proto__', 'constructor', '../x', '']) {
      const problem = problemOf(() => directory.urlOf(name))
      expect(problem).toMatchObject({ code: 'unknown_service', message: expect.stringContaining('SERVICE_URL') })
    }
    expect(problemOf(() => directory.audienceOf('/x'))).toMatchObject({ code: 'invalid_target' })
  })

  it('names every address by its origin where it is empty', () => {
    expect(createServiceDirectory().audienceOf('https://a.example:444/b?c')).toBe('https://a.example:444')
  })
})

it.each<[string, ServiceDirectoryOptions]>([
  ['a template without $service', { serviceUrl: 'http://inventory:8080' }],
  ['a template with two', { serviceUrl: 'http://$service/$service' }],
  ['a part of a label', { serviceUrl: 'http://$service-api.example' }],
  ['a part of a segment', { serviceUrl: 'http://gw.example/svc-$service' }],
  ['$service as the port', { serviceUrl: 'http://gw.example:$service' }],
  ['$service in the query', { serviceUrl: 'http://gw.example/?s=$service' }],
  ['$service as the user', { serviceUrl: 'http://$service@gw.example/' }],
  ['another scheme', { serviceUrl: 'ftp://$service' }],
  ['no URL', { serviceUrl: '$service:8080' }],
  ['a password', { serviceUrl: 'http://u:canary@$service' }],
  ['a service with a query', { services: { a: 'http://a.example/?b' } }],
  ['a service with $service', { services: { a: 'http://$service' } }],
  ['a service without address', { services: { a: undefined as unknown as string } }],
  ['a name that is none', { services: { A: 'http://a.example' } }],
  ['a service named twice', { services: { a: 'http://a.example', 'a-service': 'http://b.example' } }],
  ['two services at one address', { services: { a: 'http://a.example', b: 'http://a.example/' } }],
])('refuses %s', (_, options) => {
  const problem = problemOf(() => createServiceDirectory(options))
  expect(problem).toMatchObject({ code: 'invalid_configuration' })
  expect(problem.message).not.toContain('canary')
})
