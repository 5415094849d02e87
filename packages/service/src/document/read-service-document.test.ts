import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { stringify } from 'yaml'
import { refused } from '../expressions/refused.fixture.ts'
import { contractDocument } from './contract.fixture.ts'
import { readServiceDocument } from './read-service-document.ts'
import type { ServiceDocument } from './service-document.ts'

/** Without what cannot be compared. */
const plain = (document: ServiceDocument) => JSON.parse(JSON.stringify(document))

const contract = () => readServiceDocument(contractDocument, { folder: '/srv' })

describe('the document of a service', () => {
  it('is read with names checked, defaults filled in and expressions compiled', () => {
    expect(plain(contract())).toEqual({
      serviceOptions: { machineToMachineBlockList: [], allowedM2MClients: ['order-service'], multiTenant: false },
      businessApis: [
        {
          name: 'decreaseStock',
          authOptions: { loginRequired: false, M2MAllowed: true },
          rest: { method: 'POST', path: '/v1/stock/decrease' },
          grpc: { protoFile: '/srv/inventory.proto', service: 'shop.Inventory', method: 'DecreaseStock' },
          kafka: { requestTopic: 'stock.decrease' },
          input: {
            type: 'object',
            properties: { productId: { type: 'string' }, quantity: { type: 'integer' } },
            required: ['productId', 'quantity'],
          },
          actions: ['publishOrderCreated'],
        },
      ],
      edgeControllers: [
        {
          functionName: 'processPaymentWebhook',
          authOptions: { loginRequired: false, M2MAllowed: true },
          rest: { method: 'POST', path: '/webhooks/payment' },
        },
      ],
      actions: {
        apiCallActions: [
          {
            name: 'callExternalService',
            request: {
              method: 'POST',
              url: { source: 'https://api.example.com/endpoint' },
              body: { source: '{ data: this.someData }' },
            },
          },
        ],
        interserviceCallActions: [
          {
            name: 'updateInventory',
            targetService: 'inventory',
            targetApi: 'decreaseStock',
            parameters: [
              { name: 'productId', value: { source: 'this.productId' } },
              { name: 'quantity', value: { source: 'this.quantity' } },
            ],
            transport: 'rest',
          },
        ],
        publishEventActions: [
          {
            name: 'publishOrderCreated',
            topic: 'orders.created',
            message: { source: '{ orderId: this.orderId, total: this.total }' },
          },
        ],
      },
    })
  })

  it('gives values that work', () => {
    const { apiCallActions, interserviceCallActions, publishEventActions } = contract().actions
    const context = { someData: [1], productId: 'p-1', quantity: 2, orderId: 'o-1', total: 9.5 }
    expect(apiCallActions[0]?.request.url.evaluate(context)).toBe('https://api.example.com/endpoint')
    expect(apiCallActions[0]?.request.body?.evaluate(context)).toEqual({ data: [1] })
    expect(interserviceCallActions[0]?.parameters.map(({ value }) => value.evaluate(context))).toEqual(['p-1', 2])
    expect(publishEventActions[0]?.message.evaluate(context)).toEqual({ orderId: 'o-1', total: 9.5 })
  })

  it('reads alike as object, as JSON, as JSON with comments and as YAML', () => {
    const expected = plain(contract())
    const object = JSON.parse(contractDocument.replaceAll(/\/\/ default.*$/gm, ''))
    const forms = [object, JSON.stringify(object), JSON.stringify(object, null, '\t'), stringify(object)]
    for (const form of forms) expect(plain(readServiceDocument(form, { folder: '/srv' }))).toEqual(expected)
  })

  it('does not change the object that it is read from', () => {
    const object = { name: 'a', authOptions: {} }
    readServiceDocument(object)
    expect(object).toEqual({ name: 'a', authOptions: {} })
  })

  it('takes comments out of JSON only where they are comments', () => {
    const text = `{ // the one topic
      "name": "publish", /* why: "it" is there */ "topic": "a.b", "message": "{ url: 'https://x//y /* z */' }",
      # YAML's own
      "key": "this.a" /* end */ }`
    const { publishEventActions } = readServiceDocument(text).actions
    expect(publishEventActions[0]?.message.evaluate({})).toEqual({ url: 'https://x//y /* z */' })
    const plainUrl = '{ name: call, apiCallRequest: { method: GET, url: https://example.com/a } }'
    expect(readServiceDocument(plainUrl).actions.apiCallActions[0]?.request.url.source).toBe('https://example.com/a')
  })

  it('takes the anchors of YAML', () => {
    const text = `
businessApis:
  - name: read
    authOptions: &services { M2MAllowed: true, loginRequired: false }
  - name: write
    authOptions: *services
`
    expect(readServiceDocument(text).businessApis.map(({ authOptions }) => authOptions.M2MAllowed)).toEqual([
      true,
      true,
    ])
  })

  it('is read from a file, and finds .proto files beside it', () => {
    const folder = mkdtempSync(join(tmpdir(), 'service-document-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const file = join(folder, 'inventory service.yaml')
    writeFileSync(file, contractDocument)
    for (const input of [file, pathToFileURL(file)]) {
      expect(readServiceDocument(input).businessApis[0]?.grpc?.protoFile).toBe(join(folder, 'inventory.proto'))
    }
    writeFileSync(file, 'name: a\nauthOption: {}')
    expect(refused(() => readServiceDocument(file)).message).toContain(`${file}:2:1: authOption: is not known here`)
    expect(refused(() => readServiceDocument(join(folder, 'none.yaml'))).message).toContain('there is no such file')
    expect(refused(() => readServiceDocument(folder)).message).toContain(folder)
  })

  it('opens nothing that is not opened: only users with a session may call', () => {
    const { businessApis, serviceOptions } = readServiceDocument({ businessApis: [{ name: 'a' }] })
    expect(businessApis).toEqual([
      {
        name: 'a',
        authOptions: { loginRequired: true, M2MAllowed: false },
        rest: { method: 'POST', path: '/a' },
        actions: [],
      },
    ])
    expect(serviceOptions.allowedM2MClients).toBeUndefined()
  })

  it('keeps an empty allow list apart from none', () => {
    expect(readServiceDocument({ allowedM2MClients: [] }).serviceOptions.allowedM2MClients).toEqual([])
  })

  it('takes path parameters in braces or behind a colon, and methods in any case', () => {
    const document = readServiceDocument({
      businessApis: [
        { name: 'a', restSettings: { path: '/v1/stock/{productId}/:place', method: 'get' } },
        { name: 'b', restSettings: { path: '/', method: 'Put' } },
      ],
    })
    expect(document.businessApis.map(({ rest }) => rest)).toEqual([
      { method: 'GET', path: '/v1/stock/:productId/:place' },
      { method: 'PUT', path: '/' },
    ])
  })

  it('switches off what is said to be off', () => {
    const { businessApis, edgeControllers } = readServiceDocument({
      businessApis: [{ name: 'a', kafkaSettings: { hasKafkaController: false, requestTopic: 'a.b' } }],
      edgeControllers: [
        {
          edgeControllerOptions: { functionName: 'f' },
          edgeRestSettings: { restEnabled: false, path: '/f' },
          edgeKafkaSettings: { requestTopic: 'f' },
        },
        { edgeControllerOptions: { functionName: 'g' } },
      ],
    })
    expect(businessApis[0]).not.toHaveProperty('kafka')
    expect(edgeControllers[0]).not.toHaveProperty('rest')
    expect(edgeControllers[0]?.kafka).toEqual({ requestTopic: 'f' })
    expect(edgeControllers[1]?.rest).toEqual({ method: 'POST', path: '/g' })
  })
})
