import { describe, expect, it } from 'vitest'
import { readServiceDocument } from './read-service-document.ts'

const read = (text: string) => {
  const { businessApis, edgeControllers, actions } = readServiceDocument(text)
  return { businessApis, edgeControllers, ...actions }
}

describe('a fragment is read as a service with that alone', () => {
  it.each<[string, string]>([
    [
      '{ "kafkaSettings": { "hasKafkaController": true, "requestTopic": "stock.decrease" }, "authOptions": { "loginRequired": false, "M2MAllowed": true } }',
      'stockDecrease',
    ],
    [
      '{ "authOptions": { "loginRequired": true, "M2MAllowed": true }, "kafkaSettings": { "hasKafkaController": true, "requestTopic": "orders" }, "name": "createOrder" }',
      'createOrder',
    ],
    ['{ "authOptions": { "loginRequired": false, "M2MAllowed": true } }', 'api'],
    ['{ "M2MAllowed": true, "loginRequired": false }', 'api'],
    [
      '{ "kafkaSettings": { "hasKafkaController": true, "requestTopic": "orders_v2.created-now" } }',
      'ordersCreatedNow',
    ],
    ['{ "hasKafkaController": true, "requestTopic": "stock.decrease" }', 'stockDecrease'],
    ['{ "restSettings": { "path": "/v1/stock/{productId}/decrease", "method": "POST" } }', 'stockDecrease'],
    ['{ "restSettings": { "path": "/v1/orders/:id" }, "actions": [] }', 'orders'],
    [
      '{ "grpcSettings": { "protoFile": "a.proto", "service": "shop.Inventory", "method": "DecreaseStock" } }',
      'decreaseStock',
    ],
    ['{ "name": "decreaseStock" }', 'decreaseStock'],
    ['name: decreaseStock\nauthOptions:\n  M2MAllowed: true\n', 'decreaseStock'],
  ])('one API: %s', (text, name) => {
    const { businessApis } = read(text)
    expect(businessApis.map((api) => api.name)).toEqual([name])
  })

  it.each<[string, string, object]>([
    [
      '{ "edgeControllerOptions": { "functionName": "processPaymentWebhook", "loginRequired": false, "M2MAllowed": true }, "edgeRestSettings": { "restEnabled": true, "path": "/webhooks/payment", "method": "POST" } }',
      'processPaymentWebhook',
      { rest: { method: 'POST', path: '/webhooks/payment' }, authOptions: { loginRequired: false, M2MAllowed: true } },
    ],
    [
      '{ "edgeRestSettings": { "restEnabled": true, "path": "/webhooks/payment", "method": "PUT" } }',
      'webhooksPayment',
      { rest: { method: 'PUT', path: '/webhooks/payment' }, authOptions: { loginRequired: true, M2MAllowed: false } },
    ],
    [
      '{ "edgeControllerOptions": { "M2MAllowed": true }, "edgeKafkaSettings": { "kafkaEnabled": true, "requestTopic": "payments.webhook" } }',
      'paymentsWebhook',
      { kafka: { requestTopic: 'payments.webhook' } },
    ],
    [
      '{ "functionName": "f", "M2MAllowed": true, "loginRequired": false }',
      'f',
      { rest: { method: 'POST', path: '/f' } },
    ],
  ])('one edge controller: %s', (text, functionName, expected) => {
    const { edgeControllers } = read(text)
    expect(edgeControllers).toHaveLength(1)
    expect(edgeControllers[0]).toMatchObject({ functionName, ...expected })
  })

  const call =
    '"apiCallRequest": { "method": "POST", "url": "https://api.example.com/endpoint", "body": "{ data: this.someData }" }'
  const update =
    '"targetService": "inventory", "targetApi": "decreaseStock", "apiParameters": [{ "name": "productId", "value": "this.productId" }, { "name": "quantity", "value": "this.quantity" }]'
  const publish = '"topic": "orders.created", "message": "{ orderId: this.orderId, total: this.total }"'

  it.each<[string, 'apiCallActions' | 'interserviceCallActions' | 'publishEventActions', string]>([
    [`{ "name": "callExternalService", ${call} }`, 'apiCallActions', 'callExternalService'],
    [`{ ${call} }`, 'apiCallActions', 'callApi'],
    [`{ "apiCallActions": [{ "name": "call", ${call} }] }`, 'apiCallActions', 'call'],
    [`{ "apiCallActions": [{ ${call} }] }`, 'apiCallActions', 'callApi'],
    [`{ "actions": { "apiCallActions": [{ "name": "call", ${call} }] } }`, 'apiCallActions', 'call'],
    [`{ "name": "updateInventory", ${update} }`, 'interserviceCallActions', 'updateInventory'],
    [`{ ${update} }`, 'interserviceCallActions', 'decreaseStock'],
    [`{ "interserviceCallActions": [{ "name": "update", ${update} }] }`, 'interserviceCallActions', 'update'],
    [`{ "name": "publishOrderCreated", ${publish} }`, 'publishEventActions', 'publishOrderCreated'],
    [`{ ${publish} }`, 'publishEventActions', 'ordersCreated'],
    [`{ "publishEventActions": [{ "name": "publish", ${publish} }] }`, 'publishEventActions', 'publish'],
  ])('one action: %s', (text, kind, name) => {
    const document = read(text)
    expect(document[kind].map((action) => action.name)).toEqual([name])
    expect([
      ...document.apiCallActions,
      ...document.interserviceCallActions,
      ...document.publishEventActions,
    ]).toHaveLength(1)
  })

  it('the settings alone', () => {
    const options = '{ "machineToMachineBlockList": ["spam-service"], "multiTenant": true }'
    for (const text of [
      `{ "serviceSettings": { "serviceOptions": ${options} } }`,
      `{ "serviceOptions": ${options} }`,
      options,
    ]) {
      expect(readServiceDocument(text).serviceOptions).toEqual({
        machineToMachineBlockList: ['spam-service'],
        allowedM2MClients: undefined,
        multiTenant: true,
      })
    }
  })

  it('with a $schema for its editor', () => {
    expect(read('{ "$schema": "./x.json", "name": "a" }').businessApis).toHaveLength(1)
    expect(read('{ "$schema": "./x.json", "businessApis": [{ "name": "a" }] }').businessApis).toHaveLength(1)
  })
})
