/** The document of the service kit's reference, letter by letter, comments included. */
export const contractDocument = `
{
  "serviceSettings": { "serviceOptions": { "machineToMachineBlockList": [], "allowedM2MClients": ["order-service"], "multiTenant": false } },
  "businessApis": [{
    "name": "decreaseStock",
    "authOptions": { "loginRequired": false, "M2MAllowed": true },
    "restSettings": { "path": "/v1/stock/decrease", "method": "POST" },                  // default: POST /{name}
    "grpcSettings": { "protoFile": "inventory.proto", "service": "shop.Inventory", "method": "DecreaseStock" },
    "kafkaSettings": { "hasKafkaController": true, "requestTopic": "stock.decrease" },
    "input": { "type": "object", "properties": { "productId": { "type": "string" }, "quantity": { "type": "integer" } }, "required": ["productId", "quantity"] },
    "actions": ["publishOrderCreated"]
  }],
  "edgeControllers": [{
    "edgeControllerOptions": { "functionName": "processPaymentWebhook", "loginRequired": false, "M2MAllowed": true },
    "edgeRestSettings": { "restEnabled": true, "path": "/webhooks/payment", "method": "POST" },
    "edgeKafkaSettings": { "kafkaEnabled": false, "requestTopic": "payments.webhook" }
  }],
  "actions": {
    "apiCallActions": [{ "name": "callExternalService", "apiCallRequest": { "method": "POST", "url": "https://api.example.com/endpoint", "body": "{ data: this.someData }" } }],
    "interserviceCallActions": [{ "name": "updateInventory", "targetService": "inventory", "targetApi": "decreaseStock", "apiParameters": [{ "name": "productId", "value": "this.productId" }, { "name": "quantity", "value": "this.quantity" }] }],
    "publishEventActions": [{ "name": "publishOrderCreated", "topic": "orders.created", "message": "{ orderId: this.orderId, total: this.total }" }]
  }
}
`
