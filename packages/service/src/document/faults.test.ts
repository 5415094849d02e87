// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are expressions
import { describe, expect, it } from 'vitest'
import { refused } from '../expressions/refused.fixture.ts'
import { readServiceDocument } from './read-service-document.ts'

/** Every fault, as `path: message`. */
function faultsOf(input: unknown): string[] {
  const error = refused(() => readServiceDocument(input))
  expect(error.code).toBe('invalid_document')
  for (const { message } of error.faults ?? []) expect(error.message).toContain(message)
  return (error.faults ?? []).map(({ path, message }) => (path === '' ? message : `${path}: ${message}`))
}

const api = (more: object = {}) => ({ name: 'decreaseStock', ...more })
const call = (more: object = {}) => ({
  name: 'call',
  apiCallRequest: { method: 'POST', url: 'https://api.example.com/', ...more },
})
const event = (more: object = {}) => ({ name: 'publish', topic: 'a.b', message: 'this', ...more })

describe('a fault of a document names its path and what was expected', () => {
  it.each<[string, unknown, string]>([
    [
      'a boolean written as text',
      { businessApis: [api({ authOptions: { loginRequired: 'yes' } })] },
      'businessApis[0].authOptions.loginRequired: must be true or false, not the text "yes"',
    ],
    [
      'a misspelt member',
      { businessApis: [api({ kafkaSetings: {} })] },
      'businessApis[0].kafkaSetings: is not known here; did you mean "kafkaSettings"?',
    ],
    [
      'a member in other letters',
      { businessApis: [api({ authOptions: { m2mallowed: true } })] },
      'businessApis[0].authOptions.m2mallowed: is not known here; did you mean "M2MAllowed"?',
    ],
    [
      'a member that stands one level too high',
      { businessApis: [api({ M2MAllowed: true })] },
      'businessApis[0].M2MAllowed: does not stand here; write it into "authOptions"',
    ],
    [
      'a member of an API beside the APIs',
      { businessApis: [api()], authOptions: {} },
      'authOptions: does not stand here; write it into "businessApis"',
    ],
    [
      'a member that is like none',
      { publishEventActions: [event({ priority: 1 })] },
      'publishEventActions[0].priority: is not known here; known are name, topic, message, key',
    ],
    ['a list written as an object', { businessApis: api() }, 'businessApis: must be a list, not an object'],
    ['an API without a name', { businessApis: [{}] }, 'businessApis[0].name: is missing'],
    ['an API that is null', { businessApis: [null] }, 'businessApis[0]: must be an object, not null'],
    [
      'a name that code cannot use',
      { name: 'decrease stock' },
      'name: must begin with a letter and have at most 64 letters, digits, "_" and "-"',
    ],
    [
      'a name that every object has',
      { name: 'constructor' },
      'name: is a name that every JavaScript object has already; choose another',
    ],
    [
      'a method that is none',
      api({ restSettings: { method: 'GETT' } }),
      'restSettings.method: must be one of POST, GET, PUT, PATCH, DELETE, not the text "GETT"; did you mean "GET"?',
    ],
    ['a path without a slash', api({ restSettings: { path: 'v1' } }), 'restSettings.path: must begin with "/"'],
    [
      'a path with a query',
      api({ restSettings: { path: '/v1?a=1' } }),
      'restSettings.path: must be a path alone; a query needs no declaration',
    ],
    ['a path with dots', api({ restSettings: { path: '/a/../b' } }), 'restSettings.path: must have no segment ".."'],
    ['a path with //', api({ restSettings: { path: '/a//b' } }), 'restSettings.path: must have no empty segment'],
    [
      'a wildcard',
      api({ restSettings: { path: '/files/*' } }),
      'restSettings.path: has a segment that is neither plain text nor one parameter such as :productId: "*"',
    ],
    [
      'a regular expression in a path',
      api({ restSettings: { path: '/:id(\\d+)' } }),
      'restSettings.path: has a segment that is neither plain text nor one parameter such as :productId: ":id(\\d+)"',
    ],
    [
      'a parameter twice',
      api({ restSettings: { path: '/:id/{id}' } }),
      'restSettings.path: has the parameter :id twice',
    ],
    [
      'a topic that is none',
      api({ kafkaSettings: { requestTopic: 'a b' } }),
      'kafkaSettings.requestTopic: must be the name of a topic: at most 237 letters, digits, ".", "_" and "-"',
    ],
    [
      'a controller without a topic',
      api({ kafkaSettings: { hasKafkaController: true } }),
      'kafkaSettings.requestTopic: is missing; name the topic, or set hasKafkaController to false',
    ],
    [
      'gRPC without a method',
      api({ grpcSettings: { protoFile: 'a.proto', service: 'a.B' } }),
      'grpcSettings.method: is missing',
    ],
    [
      'an edge controller that nothing reaches',
      { edgeControllerOptions: { functionName: 'f' }, edgeRestSettings: { restEnabled: false } },
      'nothing reaches it: set restEnabled or kafkaEnabled to true',
    ],
    [
      'an input that is no JSON schema',
      api({ input: { type: 'object', requierd: ['a'] } }),
      'input: is no JSON schema that can be used: strict mode: unknown keyword: "requierd"',
    ],
    [
      'an input that is no object',
      api({ input: { type: 'array' } }),
      'input: must have "type": "object", for path, query and body together',
    ],
    [
      'a client that is no service',
      { allowedM2MClients: ['Order Service'] },
      'allowedM2MClients[0]: must be the name of a service: lower-case letters, digits and "-"',
    ],
    [
      'a transport that is none',
      { name: 'a', targetService: 'b', targetApi: 'c', transport: 'grcp' },
      'transport: must be one of rest, grpc, not the text "grcp"; did you mean "grpc"?',
    ],
    ['an event without a message', { topic: 'a.b' }, 'message: is missing'],
    [
      'an action that there is not',
      { businessApis: [api({ actions: ['publsh'] })], actions: { publishEventActions: [event()] } },
      'businessApis[0].actions[0]: there is no action "publsh"; did you mean "publish"?',
    ],
    [
      'an action unlike all that there are',
      { businessApis: [api({ actions: ['notify'] })], actions: { publishEventActions: [event()] } },
      'businessApis[0].actions[0]: there is no action "notify"; there are publish',
    ],
    [
      'an action where there are none',
      api({ actions: ['notify'] }),
      'actions[0]: there is no action "notify"; the document has no actions',
    ],
    [
      'a body that a GET cannot have',
      call({ method: 'get', body: '{}' }),
      'apiCallRequest.body: a GET or HEAD request has no body; use params, or another method',
    ],
    ['a URL of another kind', call({ url: 'ftp://x' }), 'apiCallRequest.url: a URL begins with https:// or http://'],
    ['a URL that is none', call({ url: 'https://[' }), 'apiCallRequest.url: this is no URL'],
    [
      'a URL with a password',
      call({ url: 'https://me:pw@example.com/' }),
      'apiCallRequest.url: a URL holds no user name or password; send a header',
    ],
    ['a URL that is a number', call({ url: 8080 }), 'apiCallRequest.url: a URL is text'],
    [
      'the header of the token',
      call({ headers: { 'X-M2M-Token': 'x' } }),
      'apiCallRequest.headers.X-M2M-Token: the header "X-M2M-Token" is set by itself; leave it out',
    ],
    [
      'a header twice',
      call({ headers: { Accept: 'a', accept: 'b' } }),
      'apiCallRequest.headers.accept: the header is there twice',
    ],
    [
      'a header that is none',
      call({ headers: { 'a b': 'x' } }),
      'apiCallRequest.headers["a b"]: this is no name of a header',
    ],
    [
      'params that are a list',
      call({ params: ['a'] }),
      'apiCallRequest.params: params are names with values, or an expression that gives them',
    ],
    [
      'an expression within a value',
      event({ message: { order: { id: ['${this.id', 1] } } }),
      'message.order.id[0]: line 1, column 10: a "}" is missing here',
    ],
    [
      'an expression',
      event({ message: '{ orderId: order.id }' }),
      'message: line 1, column 12: "order" is not known; ' +
        "write this.order for the member of the context, 'order' for the text",
    ],
    ['nothing', {}, 'is empty; describe at least one API, edge controller or action'],
    ['no document', undefined, 'is missing'],
    ['a number', 5, 'must be an object, not 5'],
    ['a list', [api()], 'must be an object, not a list'],
    ['an empty text', '', 'must be an object, not null'],
    [
      'a text of another kind',
      'a: [b',
      'Flow sequence in block collection must be sufficiently indented and end with a ]',
    ],
    ['JSON with a fault', '{ "name": "a",, }', 'Unexpected , in flow map'],
    ['a name twice in one object', '{ "name": "a", "name": "b" }', 'Map keys must be unique'],
    [
      'what would change the prototype',
      '{ "name": "a", "__proto__": { "authOptions": {} } }',
      '__proto__: is not known here',
    ],
  ])('%s', (_, input, fault) => {
    const faults = faultsOf(input)
    expect(faults).toHaveLength(1)
    expect(faults[0]).toContain(fault)
  })

  it('finds what cannot be together', () => {
    const faults = faultsOf({
      businessApis: [
        { name: 'a', restSettings: { path: '/v1/:id', method: 'GET' }, kafkaSettings: { requestTopic: 't' } },
        { name: 'b', restSettings: { path: '/v1/{key}', method: 'get' } },
        { name: 'a', restSettings: { path: '/v1/:id', method: 'PUT' } },
        {
          name: 'c',
          grpcSettings: { protoFile: 'x', service: 's.S', method: 'M' },
          restSettings: { path: '/healthz' },
        },
        { name: 'd', grpcSettings: { protoFile: 'x', service: 's.S', method: 'M' } },
        { name: 'e', restSettings: { path: '/.well-known/jwks.json', method: 'GET' } },
      ],
      edgeControllers: [
        { edgeControllerOptions: { functionName: 'f' }, edgeKafkaSettings: { requestTopic: 't' } },
        { edgeControllerOptions: { functionName: 'd' }, edgeRestSettings: { restEnabled: true } },
        { edgeControllerOptions: { functionName: 'f' } },
      ],
      actions: {
        publishEventActions: [event()],
        apiCallActions: [{ ...call(), name: 'publish' }],
        interserviceCallActions: [
          {
            name: 'i',
            targetService: 's',
            targetApi: 'a',
            apiParameters: [
              { name: 'p', value: 1 },
              { name: 'p', value: 2 },
            ],
          },
        ],
      },
    })
    expect(faults).toEqual([
      'businessApis[2].name: "a" is the name of another API: businessApis[0].name',
      'actions.publishEventActions[0].name: "publish" is the name of another action: actions.apiCallActions[0].name',
      'businessApis[1].restSettings.path: "GET /v1/:" is the route of another: businessApis[0].restSettings.path',
      'edgeControllers[1].edgeRestSettings.path: "POST /d" is the route of another: businessApis[4].restSettings.path',
      'businessApis[5].restSettings.path: "GET /.well-known/jwks.json" is answered by the kit itself; choose another path',
      'businessApis[4].grpcSettings.method: "s.S/M" is the gRPC method of another API: businessApis[3].grpcSettings.method',
      'edgeControllers[0].edgeKafkaSettings.requestTopic: "t" is the topic of another, and one message cannot be for both: businessApis[0].kafkaSettings.requestTopic',
      'actions.interserviceCallActions[0].apiParameters[1].name: "p" is the name of another parameter: actions.interserviceCallActions[0].apiParameters[0].name',
    ])
  })

  it('lists all at once, with their places in the text and in its order', () => {
    const text = `serviceSettings:
  serviceOptions: { multitenant: true }
businessApis:
  - name: decreaseStock
    authOptions: { loginRequired: "yes" }
    actions: [publishOrderCreate]
actions:
  apiCallActions:
    - name: call
      apiCallRequest:
        method: POST
        url: https://api.example.com/
        body: "{ a: this..b }"
        headers: { authorization: Bearer this.token }
  publishEventActions:
    - name: publishOrderCreated
      topic: orders.created
      message: |
        {
          orderId: order.id
        }
`
    const error = refused(() => readServiceDocument(text))
    expect(error.faults?.map(({ place, path }) => `${place} ${path}`)).toEqual([
      '2:21 serviceSettings.serviceOptions.multitenant',
      '5:20 businessApis[0].authOptions.loginRequired',
      '6:15 businessApis[0].actions[0]',
      '13:26 actions.apiCallActions[0].apiCallRequest.body',
      '14:42 actions.apiCallActions[0].apiCallRequest.headers.authorization',
      '18:7 actions.publishEventActions[0].message',
    ])
    expect(error.faults?.map(({ position }) => position)).toEqual([
      ...[undefined, undefined, undefined],
      { line: 1, column: 11 },
      { line: 1, column: 8 },
      { line: 2, column: 12 },
    ])
    expect(error.message.split('\n')).toHaveLength(7)
    expect(error.message.split('\n')[0]).toBe('the document of the service has 6 faults:')
    expect(error.message).toContain(
      '\n- 5:20: businessApis[0].authOptions.loginRequired: must be true or false, not the text "yes"',
    )
  })

  it('counts paths from the fragment that was given', () => {
    expect(faultsOf({ authOptions: { loginRequird: true }, kafkaSettings: { requestTopic: 'a' } })).toEqual([
      'authOptions.loginRequird: is not known here; did you mean "loginRequired"?',
    ])
    expect(faultsOf('{ "edgeControllerOptions": { "functionName": 5 } }')).toEqual([
      'edgeControllerOptions.functionName: must be a text, not 5',
    ])
  })

  it('repeats no text that may be a secret', () => {
    const secret = 'canary-secret-of-a-header'
    const documents = [
      call({ headers: { authorization: `Bearer ${secret} this.x` } }),
      call({ headers: { authorization: `Bearer ${secret} \${` } }),
      call({ headers: [secret] }),
      call({ url: `https://me:${secret}@example.com/` }),
      call({ body: `'${secret}` }),
      call({ body: { key: `${secret}\${1 +}` } }),
    ]
    for (const document of documents) expect(faultsOf(document).join('\n')).not.toContain(secret)
  })

  it('survives aliases that would fill the memory, cycles and great depth', () => {
    const bomb = `a: &a [x, x, x, x, x, x, x, x, x]\n${Array.from({ length: 12 }, (_, index) => {
      const [name, before] = ['bcdefghijklm'[index], 'abcdefghijklm'[index]]
      return `${name}: &${name} [${Array(9).fill(`*${before}`).join(', ')}]`
    }).join('\n')}`
    expect(faultsOf(bomb)).toHaveLength(1)
    const cycle: Record<string, unknown> = {}
    cycle.self = cycle
    expect(faultsOf(event({ message: cycle })).join()).toContain('a value is nested at most 32 deep')
    const deep = `{ "topic": "a", "message": ${'['.repeat(2_000)}${']'.repeat(2_000)} }`
    expect(faultsOf(deep)).toHaveLength(1)
  })
})
