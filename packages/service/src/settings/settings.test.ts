import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { readSettings } from './settings.ts'

describe('the settings of a service', () => {
  it('stand in the README, every one', () => {
    const text = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8')
    const names = [...text('settings.ts').matchAll(/^ {2}([A-Z][A-Z\d_]+): /gm)].map(([, name]) => name!)
    expect(names.length).toBeGreaterThan(25)
    const readme = text('../../README.md')
    expect(names.filter((name) => name !== 'NODE_ENV' && !readme.includes(`\`${name}`))).toEqual([])
  })

  it.each(['redis', 'redis:6379', 'http://redis:6379'])('have no Redis at %s', (REDIS_URL) => {
    expect(() => readSettings({ REDIS_URL })).toThrow(/REDIS_URL: .*redis:\/\//)
  })

  it('have defaults, and empty variables count as absent', () => {
    expect(readSettings({ HTTP_PORT: '', KAFKA_BROKERS: '' })).toMatchObject({
      httpPort: 3000,
      httpHost: '0.0.0.0',
      grpcPort: 50_051,
      kafkaBrokers: [],
      maximumBody: 1_048_576,
      sessionCookie: 'session',
      tenantHeader: 'x-tenant-id',
      profile: 'm2m',
      acceptMd5: false,
      isProduction: true,
    })
  })

  it('are read from the environment', () => {
    expect(
      readSettings({
        HTTP_PORT: '0',
        KAFKA_BROKERS: 'a:9092, b:9092,',
        SERVICE_URLS: 'inventory=https://stock.example?x=1,order=http://orders:3000',
        SESSION_ORIGINS: 'https://app.example',
        TENANT_HEADER: 'X-Tenant',
        TENANT_HOST: '$tenant.Shop.Example',
        NODE_ENV: 'production',
        SERVICE_ENV: 'test',
      }),
    ).toMatchObject({
      httpPort: 0,
      kafkaBrokers: ['a:9092', 'b:9092'],
      serviceUrls: { inventory: 'https://stock.example?x=1', order: 'http://orders:3000' },
      sessionOrigins: ['https://app.example'],
      tenantHeader: 'x-tenant',
      tenantHost: '$tenant.shop.example',
      isProduction: false,
    })
  })

  it.each([
    ['HTTP_PORT', '65536'],
    ['HTTP_PORT', '-1'],
    ['GRPC_PORT', '1e3'],
    ['KAFKA_BROKERS', 'broker'],
    ['SERVICE_URLS', 'inventory'],
    ['SESSION_ORIGINS', 'https://app.example/'],
    ['SESSION_ORIGINS', '*'],
    ['API_CALL_ORIGINS', 'javascript:alert(1)'],
    ['TENANT_HOST', 'tenant.shop.example'],
    ['TENANT_HOST', 'shop-$tenant.example'],
    ['TENANT_HEADER', 'x tenant'],
    ['SESSION_COOKIE', 'a=b'],
    ['MOUNTED_AT', '/orders/'],
    ['MAX_BODY', '1MB'],
    ['M2M_ACCEPT_MD5', 'yes'],
    ['M2M_PROFILE', 'sha1'],
  ])('refuse %s=%s by its name', (name, value) => {
    expect(() => readSettings({ [name]: value })).toThrow(`${name}: `)
  })
})
