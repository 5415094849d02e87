import { describe, expect, it } from 'vitest'
import { refusal } from '../refusal.fixture.ts'
import { isServiceShortName, serviceName, serviceShortName } from './service-name.ts'

describe('the name of a service', () => {
  it.each([
    ['order', 'order-service', 'order'],
    ['order-service', 'order-service', 'order'],
    ['service', 'service-service', 'service'],
    ['service-service', 'service-service', 'service'],
    ['0', '0-service', '0'],
    ['a--b-', 'a--b--service', 'a--b-'],
  ])('%s is %s in tokens and %s in addresses', (name, full, short) => {
    expect(serviceName(name)).toBe(full)
    expect(serviceShortName(name)).toBe(short)
    expect(serviceName(serviceShortName(name))).toBe(full)
    expect(serviceShortName(serviceName(name))).toBe(short)
  })

  it('is never two: what ends in -service twice is refused, for it would be read as another', () => {
    expect(refusal(() => serviceName('order-service-service'))).toBe('invalid_claim/sender')
    expect(isServiceShortName('order-service')).toBe(false)
  })

  it.each(['', '-service', '-a', 'Order', 'a_b', 'a.b', 'a/b', '..', 'a b', 'a\n', 'é', 'a'.repeat(64), '$service'])(
    'is not %j',
    (name) => {
      expect(isServiceShortName(name)).toBe(false)
      expect(refusal(() => serviceName(name))).toBe('invalid_claim/sender')
      expect(refusal(() => serviceShortName(name))).toBe('invalid_claim/sender')
    },
  )

  it('is at most 63 characters long, the suffix not counted', () => {
    expect(serviceName('a'.repeat(63))).toBe(`${'a'.repeat(63)}-service`)
  })
})
