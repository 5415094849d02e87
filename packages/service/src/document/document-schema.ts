import { z } from 'zod'
import { compileValue } from './action-values.ts'
import { compileHeaders, compileParams, compileUrl } from './call-values.ts'
import { compiled, method, name, path, protoName, serviceName, topic } from './fields.ts'

const loginRequired = z
  .boolean()
  .default(true)
  .meta({ description: 'A user session is needed; with M2MAllowed a service token does instead of one' })

const m2mAllowed = z
  .boolean()
  .default(false)
  .meta({ description: 'Services may call with a service token; without loginRequired only they may' })

const requestTopic = topic
  .optional()
  .meta({ description: 'The topic whose messages are requests', examples: ['stock.decrease'] })

const routePath = path.optional().meta({
  description: 'The path, with parameters as {name} or :name. Default: / and the name',
  examples: ['/v1/stock/{productId}'],
})

const routeMethod = method('POST', 'GET', 'PUT', 'PATCH', 'DELETE')
  .default('POST')
  .meta({ description: 'The HTTP method' })

const businessApi = z.strictObject({
  name: name.meta({ description: 'What the API is called; its handler stands under this name in the code' }),
  authOptions: z
    .strictObject({ loginRequired, M2MAllowed: m2mAllowed })
    .prefault({})
    .meta({ description: 'Who may call. Left out: users with a session' }),
  restSettings: z
    .strictObject({ path: routePath, method: routeMethod })
    .prefault({})
    .meta({ description: 'How the API is reached over HTTP. Left out: POST /{name}' }),
  grpcSettings: z
    .strictObject({
      protoFile: z.string().min(1).meta({ description: 'The .proto file, from the folder of this document' }),
      service: protoName('a gRPC service').meta({
        description: 'The service in it, with its package',
        examples: ['shop.Inventory'],
      }),
      method: protoName('a gRPC method').meta({ description: 'The method of the service' }),
    })
    .optional()
    .meta({ description: 'How the API is reached over gRPC. Left out: not at all' }),
  kafkaSettings: z
    .strictObject({
      hasKafkaController: z.boolean().default(true).meta({ description: 'false: the topic is not read' }),
      requestTopic,
    })
    .optional()
    .meta({ description: 'How the API is reached over Kafka. Left out: not at all' }),
  input: z
    .record(z.string(), z.unknown())
    .optional()
    .meta({ description: 'A JSON schema (draft 2020-12) of the input: path, query and body together' }),
  actions: z
    .array(z.string().meta({ description: 'The name of an action' }))
    .default([])
    .meta({ description: 'Actions that run after the handler, in this order; one that fails, fails the call' }),
})

const edgeController = z.strictObject({
  edgeControllerOptions: z
    .strictObject({
      functionName: name.meta({ description: 'The function in the code that answers' }),
      loginRequired,
      M2MAllowed: m2mAllowed,
    })
    .meta({ description: 'Which function answers, and who may call' }),
  edgeRestSettings: z
    .strictObject({
      restEnabled: z.boolean().default(true).meta({ description: 'false: not reached over HTTP' }),
      path: routePath,
      method: routeMethod,
    })
    .optional()
    .meta({ description: 'How the function is reached over HTTP' }),
  edgeKafkaSettings: z
    .strictObject({
      kafkaEnabled: z.boolean().default(true).meta({ description: 'false: the topic is not read' }),
      requestTopic,
    })
    .optional()
    .meta({ description: 'How the function is reached over Kafka' }),
})

const actionName = name.meta({ description: 'What the action is called, in `actions` of an API and in the code' })

const apiCallAction = z.strictObject({
  name: actionName,
  apiCallRequest: z
    .strictObject({
      method: method('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS').meta({
        description: 'The HTTP method',
      }),
      url: compiled(compileUrl, {
        description: `The URL, with parts such as \${this.id} filled in, percent-encoded`,
        types: ['string'],
        examples: [`https://api.example.com/orders/\${this.orderId}`],
      }),
      params: compiled(compileParams, {
        description: 'Query parameters by name',
        types: ['object', 'string'],
        examples: [{ page: 1, customer: 'this.customerId' }],
      }).optional(),
      headers: compiled(compileHeaders, {
        description: 'Headers by name; the token is added by itself',
        types: ['object', 'string'],
        examples: [{ 'x-order': 'this.orderId' }],
      }).optional(),
      body: compiled(compileValue, {
        description: 'The JSON body: an expression, or a value with expressions in it',
        examples: ['{ data: this.someData }'],
      }).optional(),
    })
    .meta({ description: 'The request that is sent' }),
})

const interserviceCallAction = z.strictObject({
  name: actionName,
  targetService: serviceName.meta({ description: 'The service that is called', examples: ['inventory'] }),
  targetApi: name.meta({ description: 'The API of that service, by its name' }),
  apiParameters: z
    .array(
      z.strictObject({
        name: z.string().min(1).max(128).meta({ description: 'The name of the parameter' }),
        value: compiled(compileValue, {
          description: 'An expression, or a value that is no text',
          examples: ['this.productId'],
        }),
      }),
    )
    .default([])
    .meta({ description: 'The input of the call: path parameters first, then query (GET, DELETE) or body' }),
  transport: z.enum(['rest', 'grpc']).default('rest').meta({ description: 'How the service is called' }),
})

const publishEventAction = z.strictObject({
  name: actionName,
  topic: topic.meta({ description: 'The topic that the event is published to', examples: ['orders.created'] }),
  message: compiled(compileValue, {
    description: 'The event: an expression, or a value with expressions in it',
    examples: ['{ orderId: this.orderId, total: this.total }'],
  }),
  key: compiled(compileValue, {
    description: 'The key of the record, an expression; events of one key stay in order',
    examples: ['this.orderId'],
  }).optional(),
})

const clientNames = (description: string) =>
  z.array(serviceName.meta({ description: 'A service, such as order or order-service' })).meta({ description })

/** The document of a service, and with `io: 'input'` the JSON schema that editors complete it by. */
export const documentSchema = z.strictObject({
  $schema: z.string().optional().meta({ description: 'Where the JSON schema of this document is' }),
  serviceSettings: z
    .strictObject({
      serviceOptions: z
        .strictObject({
          machineToMachineBlockList: clientNames('Services that may not call').default([]),
          allowedM2MClients: clientNames(
            'The only services that may call; an empty list lets nobody pass. A block list with entries overrides it',
          ).optional(),
          multiTenant: z.boolean().default(false).meta({ description: 'Every call is made for a tenant' }),
        })
        .prefault({})
        .meta({ description: 'Options of the whole service; lists add up with those of the environment' }),
    })
    .prefault({})
    .meta({ description: 'Settings of the whole service' }),
  businessApis: z
    .array(businessApi)
    .default([])
    .meta({ description: 'APIs with an input, a handler in the code, and actions that follow' }),
  edgeControllers: z
    .array(edgeController)
    .default([])
    .meta({ description: 'Functions of the code that get a request as it came' }),
  actions: z
    .strictObject({
      apiCallActions: z.array(apiCallAction).default([]).meta({ description: 'Calls of any URL' }),
      interserviceCallActions: z
        .array(interserviceCallAction)
        .default([])
        .meta({ description: 'Calls of an API of another service' }),
      publishEventActions: z.array(publishEventAction).default([]).meta({ description: 'Events for Kafka topics' }),
    })
    .prefault({})
    .meta({ description: 'What follows a call; the token is added by itself' }),
})

export type ParsedDocument = z.output<typeof documentSchema>

/** For editors: `"$schema": "..."` in JSON, `# yaml-language-server: $schema=...` in YAML. */
export function serviceDocumentJsonSchema(): object {
  const schema = z.toJSONSchema(documentSchema, { io: 'input', target: 'draft-2020-12', unrepresentable: 'any' })
  return { ...schema, title: 'Countersign service', description: 'The document that describes a service' }
}
