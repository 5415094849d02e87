// Writes service-tokens.json anew: node --conditions=source conformance/vectors/generate-service-tokens.ts. The private
// keys are not kept.
import { hash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { generateSigningKey } from '@countersign/tokens'
import {
  base64,
  binding,
  claimsOf,
  digest,
  malleated,
  messageBinding,
  now,
  part,
  respelt,
  signed,
  token as signedToken,
} from './forge-service-tokens.ts'
import type {
  GrpcCall,
  HttpCall,
  KafkaCall,
  ReceivedCall,
  ServiceTokenVector,
  ServiceTokenVectors,
} from './service-token-vectors.ts'

const [order, retired, stranger, ec] = await Promise.all([
  generateSigningKey('EdDSA'),
  generateSigningKey('EdDSA'),
  generateSigningKey('EdDSA'),
  generateSigningKey('ES256'),
])
const odd = await generateSigningKey('EdDSA')
/** One key published under names that are not its thumbprint. */
const misnamed = ['key-1', 'x'.repeat(43)].map((kid) => ({ ...odd.publicJwk, kid }))
const vectors: ServiceTokenVector[] = []
const topicAudience = { aud: 'kafka:orders.created' }

const file: ServiceTokenVectors = {
  description:
    'Service tokens, the calls that they came with, and what the receiver must say. In order, with one memory.',
  receiver: {
    now,
    leewaySeconds: 10,
    maximumLifetimeSeconds: 900,
    audiences: ['inventory-service', 'kafka:orders.created'],
    md5PublicBase: 'https://api.example.com',
  },
  services: {
    order: { keys: [order.publicJwk, retired.publicJwk, ec.publicJwk, ...misnamed] },
    payment: { keys: [stranger.publicJwk] },
  },
  vectors,
}

const body = '{"productId":"p-1","quantity":3}'
const post: HttpCall = { transport: 'http', method: 'POST', target: '/v1/stock?sku=1', content: base64(body) }
const rpc: GrpcCall = {
  transport: 'grpc',
  method: '/shop.Inventory/DecreaseStock',
  message: base64('\n\u0003p-1\u0010\u0003'),
}
const record: KafkaCall = {
  transport: 'kafka',
  carrier: 'header',
  topic: 'orders.created',
  partition: 0,
  offset: '17',
  key: base64('o-1'),
  value: base64('{"orderId":"o-1", "total":1.0}'),
}

http()
grpc()
kafkaHeader()
kafkaPayload()
headers()
claims()
signatures()
replay()
md5()
writeFileSync(new URL('service-tokens.json', import.meta.url), `${JSON.stringify(file, null, 2)}\n`)

function http(): void {
  const received = (name: string, reason: string | undefined, changed: object, sent: ReceivedCall = post) =>
    add(name, reason, token(sent), { ...sent, ...changed })
  received('http: as it was signed', undefined, {})
  received('http: another method', 'method', { method: 'PUT' })
  received('http: another path', 'target', { target: '/v1/orders?sku=1' })
  received('http: another query', 'target', { target: '/v1/stock?sku=2' })
  received('http: a query more', 'target', { target: '/v1/stock?sku=1&all=true' })
  received('http: no query', 'target', { target: '/v1/stock' })
  received('http: a doubled slash', 'target', { target: '//v1/stock?sku=1' })
  received('http: dot segments', 'target', { target: '/v1/%2e%2e/v1/stock?sku=1' })
  received('http: a path parameter', 'target', { target: '/v1/stock;a=b?sku=1' })
  received('http: another escape of the same character', 'target', { target: '/v1/st%6fck?sku=1' })
  received('http: a slash at the end', 'target', { target: '/v1/stock/?sku=1' })
  received('http: another case', 'target', { target: '/v1/Stock?sku=1' })
  const search = { ...post, method: 'GET', target: '/v1/search?a=1&b=x+y&a=2', content: '' }
  received('http: no content', undefined, {}, search)
  received('http: a GET that was given a body', 'digest', { content: base64('{}') }, search)
  received('http: a query in another order', 'target', { target: '/v1/search?a=1&a=2&b=x+y' }, search)
  received('http: %20 for +', 'target', { target: '/v1/search?a=1&b=x%20y&a=2' }, search)
  received('http: a repeated key left out', 'target', { target: '/v1/search?b=x+y&a=2' }, search)
  received('http: another body', 'digest', { content: base64('{"productId":"p-1","quantity":4}') })
  received('http: an emptied body', 'digest', { content: '' })
  received('http: a space at the end of the body', 'digest', { content: base64(`${body} `) })
  received('http: members of the body in another order', 'digest', {
    content: base64('{"quantity":3,"productId":"p-1"}'),
  })
  received('http: 3.0 for 3', 'digest', { content: base64('{"productId":"p-1","quantity":3.0}') })
  const lines = { ...post, content: base64('a\nb\n') }
  received('http: line feeds', undefined, {}, lines)
  received('http: line feeds that became CRLF', 'digest', { content: base64('a\r\nb\r\n') }, lines)
  const composed = { ...post, content: base64('{"name":"\u00e9"}') }
  received('http: a composed letter', undefined, {}, composed)
  received('http: the same letter decomposed', 'digest', { content: base64('{"name":"e\u0301"}') }, composed)
  const bytes = { ...post, content: Buffer.from([0x1f, 0x8b, 0, 0xff, 0xfe]).toString('base64') }
  received('http: bytes that are no text', undefined, {}, bytes)
}

function grpc(): void {
  add('grpc: as it was signed', undefined, token(rpc), rpc)
  add('grpc: another method', 'method', token(rpc), { ...rpc, method: '/shop.Inventory/SetStock' })
  add('grpc: another case of the method', 'method', token(rpc), { ...rpc, method: '/shop.inventory/DecreaseStock' })
  add('grpc: another message', 'digest', token(rpc), { ...rpc, message: base64('\n\u0003p-2\u0010\u0003') })
  add('grpc: with the five bytes before the message', 'digest', token(rpc), {
    ...rpc,
    message: Buffer.concat([Buffer.from([0, 0, 0, 0, 7]), Buffer.from(rpc.message as string, 'base64')]).toString(
      'base64',
    ),
  })
  const empty = { ...rpc, message: '' }
  add('grpc: an empty message', undefined, token(empty), empty)
  const stream = { ...rpc, message: null }
  add('grpc: a stream of requests', undefined, token(stream), stream)
  add('grpc: the token of a stream with one message', 'digest', token(stream), rpc)
  add('grpc: the token of an empty message with a stream', 'digest', token(empty), stream)
  add('grpc: without a digest at all', 'digest', token(stream, { req: { method: rpc.method } }), stream)
  add(
    'grpc: the token of an HTTP call to the same path',
    'req',
    token(
      { ...post, target: rpc.method },
      {
        req: { method: rpc.method, target: '/', digest: digest(rpc.message as string) },
      },
    ),
    rpc,
  )
}

function kafkaHeader(): void {
  const received = (name: string, reason: string | undefined, changed: object, sent: ReceivedCall = record) =>
    add(`kafka header: ${name}`, reason, token(sent, topicAudience), { ...sent, ...changed })
  received('as it was signed', undefined, {})
  received('another topic', 'topic', { topic: 'orders.refunded' })
  received('another key', 'key', { key: base64('o-2') })
  received('the key taken away', 'key', { key: null })
  received('an empty key for none', 'key', { key: '' }, { ...record, key: null })
  received('no key', undefined, {}, { ...record, key: null })
  received('another value', 'digest', { value: base64('{"orderId":"o-1", "total":2.0}') })
  received('the value in canonical JSON', 'digest', { value: base64('{"orderId":"o-1","total":1}') })
  received('the value turned into a tombstone', 'digest', { value: null })
  const tombstone = { ...record, value: null }
  received('a tombstone', undefined, {}, tombstone)
  received('a tombstone turned into an empty value', 'digest', { value: '' }, tombstone)
  received(
    'a value that is no JSON',
    undefined,
    {},
    { ...record, value: Buffer.from([0, 1, 254, 255]).toString('base64') },
  )
  add('kafka header: for another topic', 'aud', token(record, { aud: 'kafka:orders.refunded' }), record)
}

function kafkaPayload(): void {
  const add1 = (name: string, reason: string | undefined, message: object, write: (carried: object) => string) => {
    const signed = token(record, { ...topicAudience, req: messageBinding(record, message) })
    const value = write({ ...message, M2MToken: signed })
    add(`kafka payload: ${name}`, reason, signed, { ...record, carrier: 'payload', value: base64(value) })
  }
  const message = { orderId: 'o-1', total: 1, lines: [{ sku: 'a', n: 2 }] }
  const plain = JSON.stringify
  add1('as it was signed', undefined, message, plain)
  add1('with spaces and line feeds', undefined, message, (carried) => JSON.stringify(carried, null, 2))
  add1('its members in another order', undefined, message, ({ ...carried }) =>
    plain(Object.fromEntries(Object.entries(carried).reverse())),
  )
  add1('the token as m2mToken', undefined, message, ({ M2MToken, ...rest }: { M2MToken?: string }) =>
    plain({ m2mToken: M2MToken, ...rest }),
  )
  add1('an m2mPayload put in on the way', undefined, message, (carried) =>
    plain({ ...carried, m2mPayload: { sender: 'admin-service' } }),
  )
  add1('1.0 for 1', undefined, message, (carried) => plain(carried).replace('"total":1', '"total":1.0'))
  add1('another number', 'digest', message, (carried) => plain({ ...carried, total: 2 }))
  add1('a text for a number', 'digest', message, (carried) => plain({ ...carried, total: '1' }))
  add1('a member more', 'digest', message, (carried) => plain({ ...carried, admin: true }))
  add1('a member less', 'digest', message, ({ lines, ...rest }: { lines?: unknown }) => plain(rest))
  add1('items in another order', 'digest', { items: [1, 2] }, (carried) => plain({ ...carried, items: [2, 1] }))
  add1('a composed letter decomposed', 'digest', { name: '\u00e9' }, (carried) =>
    plain({ ...carried, name: 'e\u0301' }),
  )
  add1('a member given twice', 'malformed', message, (carried) => `{"total":100,${plain(carried).slice(1)}`)
  add1('an integer that no double holds', 'malformed', { id: 9007199254740992 }, (carried) =>
    plain(carried).replace('9007199254740992', '9007199254740993'),
  )
  add1(
    'numbers as ECMAScript writes them',
    undefined,
    { a: 1e21, b: 1e-7, c: 0.000001, d: -0, e: 1.5e300, f: 123456789.125 },
    plain,
  )
  add1(
    'letters beyond the basic plane',
    undefined,
    { '\ufb33': 1, '\u{1f600}': '\u{1f600}', '\u0080': '"\\\u0007\n' },
    plain,
  )
  add1('an empty object', undefined, {}, plain)
}

function headers(): void {
  const header = (changed: object) => token(post, {}, changed)
  add('header: typ as a full media type', undefined, header({ typ: 'application/m2m+jwt' }), post)
  add('header: typ in capitals', undefined, header({ typ: 'M2M+JWT' }), post)
  add('header: alg Ed25519', undefined, header({ alg: 'Ed25519' }), post)
  add('header: the key before the last rotation', undefined, token(post, {}, {}, retired), post)
  for (const typ of ['JWT', 'at+jwt', 'client-authentication+jwt', 'wit+jwt', 'm2m+jwt ', undefined]) {
    add(`header: typ ${typ}`, 'typ', header({ typ }), post)
  }
  for (const alg of ['none', 'NONE', 'HS256', 'ES256', 'ed25519'])
    add(`header: alg ${alg}`, 'alg', header({ alg }), post)
  add('header: no kid', 'kid', header({ kid: undefined }), post)
  add('header: a kid that nobody has', 'kid', header({ kid: stranger.kid }), post)
  for (const { kid } of misnamed) add(`header: ${kid} as kid`, 'kid', token(post, {}, { kid }, odd), post)
  add('header: a path as kid', 'kid', header({ kid: '../../order' }), post)
  add('header: an unknown critical extension', 'malformed', header({ crit: ['x'], x: 1 }), post)
  add('header: b64 false', 'malformed', header({ b64: false }), post)
  add('header: its own key', 'signature', token(post, {}, { kid: order.kid, jwk: stranger.publicJwk }, stranger), post)
}

function claims(): void {
  const changed = (name: string, reason: string | undefined, claim: object, key = order) =>
    add(`claims: ${name}`, reason, token(post, claim, {}, key), post)
  changed('a tenant', undefined, { tenant: 'acme' })
  changed('one that nobody knows', undefined, { 'https://example.com/x': { a: [1] } })
  changed('a tenant that is no text', 'tenant', { tenant: 7 })
  changed('a tenant of null', 'tenant', { tenant: null })
  changed('an empty tenant', 'tenant', { tenant: '' })
  changed('another receiver', 'aud', { aud: 'payment-service' })
  changed('the short name of the receiver', 'aud', { aud: 'inventory' })
  changed('the receiver among others', 'aud', { aud: ['inventory-service', 'payment-service'] })
  changed('the receiver with a space', 'aud', { aud: 'inventory-service ' })
  changed('no receiver', 'aud', { aud: undefined })
  changed('no sender', 'sender', { sender: undefined })
  changed('a short name as sender', 'sender', { iss: 'order', sub: 'order', sender: 'order' })
  changed('a sender in capitals', 'sender', { iss: 'Order-service', sub: 'Order-service', sender: 'Order-service' })
  const twice = 'order-service-service'
  changed('a sender with the suffix twice', 'sender', { iss: twice, sub: twice, sender: twice })
  const path = '../order-service'
  changed('a path as sender', 'sender', { iss: path, sub: path, sender: path })
  changed('another issuer', 'iss', { iss: 'payment-service' })
  changed('an array as issuer', 'iss', { iss: ['order-service'] })
  changed('another subject', 'sender', { sub: 'payment-service' })
  const payment = { iss: 'payment-service', sub: 'payment-service', sender: 'payment-service' }
  changed('another sender, signed with its own key', 'kid', payment)
  changed('at the end of its leeway', undefined, { iat: now - 69, exp: now - 9 })
  changed('expired', 'expired', { iat: now - 70, exp: now - 10 })
  changed('signed by a clock that is a little ahead', undefined, { iat: now + 10, exp: now + 70 })
  changed('signed in the future', 'iat', { iat: now + 11, exp: now + 71 })
  changed('a life of 15 minutes', undefined, { exp: now + 900 })
  changed('a longer life', 'exp', { exp: now + 901 })
  changed('an end before its beginning', 'exp', { iat: now + 5, exp: now + 4 })
  changed('expiry as text', 'exp', { exp: String(now + 60) })
  changed('a negative expiry', 'exp', { exp: -1 })
  changed('no expiry', 'exp', { exp: undefined })
  changed('no time of issue', 'iat', { iat: undefined })
  changed('no jti', 'jti', { jti: undefined })
  changed('a jti that is a number', 'jti', { jti: 17 })
  changed('a jti of 128 characters', undefined, { jti: 'x'.repeat(128) })
  changed('a jti of 129 characters', 'jti', { jti: 'x'.repeat(129) })
  changed('bound to nothing', 'req', { req: undefined })
  changed('bound to a list', 'req', { req: [] })
  changed('bound to more than the call has', 'req', { req: { ...binding(post), host: 'evil.example.com' } })
  changed('bound to no method', 'method', { req: {} })
  changed('bound to a content that is a number', 'digest', { req: { ...binding(post), digest: 7 } })
}

function signatures(): void {
  const good = token(post)
  const [header, payload, signature] = good.split('.') as [string, string, string]
  const bytes = Buffer.from(signature, 'base64url')
  add('signature: of another service', 'signature', token(post, {}, { kid: order.kid }, stranger), post)
  add(
    'signature: for other claims',
    'signature',
    [header, part({ ...claimsOf(post), tenant: 'acme' }), signature].join('.'),
    post,
  )
  add('signature: none', 'malformed', `${header}.${payload}.`, post)
  add('signature: zeros', 'signature', `${header}.${payload}.${Buffer.alloc(64).toString('base64url')}`, post)
  add(
    'signature: with the order of the group added to S',
    'signature',
    `${header}.${payload}.${malleated(bytes).toString('base64url')}`,
    post,
  )
  add('signature: padded', 'malformed', `${good}==`, post)
  add('signature: with stray bits at its end', 'malformed', good.slice(0, -1) + respelt(good.at(-1) as string), post)
  add('form: four parts', 'malformed', `${good}.${signature}`, post)
  add(
    'form: a claim twice',
    'malformed',
    signed(order, { typ: 'm2m+jwt' }, `{"jti":"another",${JSON.stringify(claimsOf(post)).slice(1)}`),
    post,
  )
  add('form: not a token', 'malformed', 'not a token', post)
}

function replay(): void {
  const once = token(post, { jti: 'the-same-again' })
  add('replay: the first time', undefined, once, post)
  add('replay: the second time', 'replayed', once, post)
  add('replay: the same jti in another token', 'replayed', token(post, { jti: 'the-same-again', tenant: 'acme' }), post)
  const delivered = token(record, { ...topicAudience, jti: 'delivered' })
  add('replay: a record', undefined, delivered, record)
  add('replay: the record delivered again', undefined, delivered, record)
  add('replay: the token at another offset', 'replayed', delivered, { ...record, offset: '18' })
  add('replay: the token in another partition', 'replayed', delivered, { ...record, partition: 1 })
}

function md5(): void {
  const md5Token = (form: unknown, claim: object = {}, header: object = {}) => {
    const times = { iat: now, exp: now + 900 }
    const requestHash = typeof form === 'string' ? form : hash('md5', JSON.stringify(form), 'hex')
    return signed(
      order,
      { typ: 'JWT', ...header },
      { iss: 'order-service', sender: 'order-service', requestHash, ...times, ...claim },
    )
  }
  const opted = (name: string, reason: string | undefined, text: string, call: ReceivedCall) =>
    add(`md5: ${name}`, reason, text, call, true)
  const [method, url, data] = ['POST', '/v1/stock', JSON.parse(body)]
  const params = { sku: '1' }
  const full = { method, url, params, data }
  opted('what we sign', undefined, md5Token(full), post)
  opted('a second time, for it has no jti', undefined, md5Token(full), post)
  opted('without typ', undefined, md5Token(full, {}, { typ: undefined }), post)
  opted('the public URL', undefined, md5Token({ ...full, url: 'https://api.example.com/v1/stock' }), post)
  opted('another public URL', 'digest', md5Token({ ...full, url: 'https://evil.example.com/v1/stock' }), post)
  opted('the body with other spaces', undefined, md5Token(full), {
    ...post,
    content: base64('{ "productId": "p-1", "quantity": 3 }'),
  })
  opted('a query that was not hashed', 'digest', md5Token({ method, url, data }), post)
  opted('a query for which {} was hashed', 'digest', md5Token({ method, url, params: {}, data }), post)
  opted('a body that was not hashed', 'digest', md5Token({ method, url, params }), post)
  opted('another body', 'digest', md5Token({ ...full, data: { ...data, quantity: 4 } }), post)
  opted('another method', 'digest', md5Token({ ...full, method: 'PUT' }), post)
  opted('another path', 'digest', md5Token({ ...full, url: '/v1/orders' }), post)
  const get: HttpCall = { transport: 'http', method: 'GET', target: '/v1/stock', content: '' }
  opted('nothing but {}', undefined, md5Token({ method: 'GET', url, params: {}, data: {} }), get)
  opted('neither query nor body', undefined, md5Token({ method: 'GET', url }), get)
  opted('no query, {} as body', undefined, md5Token({ method: 'GET', url, data: {} }), get)
  opted('{} as query, no body', undefined, md5Token({ method: 'GET', url, params: {} }), get)
  const search = { ...get, target: '/v1/stock?a=1&b=x+y&a=2&c' }
  opted(
    'a repeated key is a list',
    undefined,
    md5Token({ method: 'GET', url, params: { a: ['1', '2'], b: 'x y', c: '' }, data: {} }),
    search,
  )
  opted('a body that is no JSON', 'digest', md5Token(full), { ...post, content: base64('a=1') })
  opted('a body with a member twice', 'digest', md5Token(full), {
    ...post,
    content: base64(`{"quantity":9,${body.slice(1)}`),
  })
  opted('a body of null', undefined, md5Token({ ...full, data: null }), { ...post, content: base64('null') })
  const message = { orderId: 'o-1', total: 1.5 }
  const inMessage = (text: string, carried: object) => ({
    ...record,
    carrier: 'payload' as const,
    value: base64(JSON.stringify({ ...carried, M2MToken: text })),
  })
  const forMessage = md5Token(message)
  opted('a message', undefined, forMessage, inMessage(forMessage, message))
  opted('another message', 'digest', forMessage, inMessage(forMessage, { ...message, total: 2 }))
  opted(
    'a message with its members in another order',
    'digest',
    forMessage,
    inMessage(forMessage, { total: 1.5, orderId: 'o-1' }),
  )
  opted('a hash in capitals', 'digest', md5Token(hash('md5', JSON.stringify(full), 'hex').toUpperCase()), post)
  opted('no hash', 'digest', md5Token(full, { requestHash: undefined }), post)
  opted('a life of more than 15 minutes', 'exp', md5Token(full, { exp: now + 901 }), post)
  opted('expired', 'expired', md5Token(full, { iat: now - 910, exp: now - 10 }), post)
  opted('another issuer', 'iss', md5Token(full, { iss: 'payment-service' }), post)
  opted('an access token', 'typ', md5Token(full, {}, { typ: 'at+jwt' }), post)
  opted('a service token is never one', 'jti', md5Token(full, { sub: 'order-service' }, { typ: 'm2m+jwt' }), post)
  opted('a service token passes as what it is', undefined, token(post), post)
  add('md5: where the receiver has not opted in', 'typ', md5Token(full), post)
}

function add(name: string, reason: string | undefined, text: string, call: ReceivedCall, acceptsMd5 = false): void {
  const verdict = reason === undefined ? { accept: true } : { accept: false, reason }
  vectors.push({ name, token: text, call, ...(acceptsMd5 && { acceptsMd5 }), ...verdict } as ServiceTokenVector)
}

function token(call: ReceivedCall, changed: object = {}, header: object = {}, key = order): string {
  return signedToken(key, call, changed, header)
}
