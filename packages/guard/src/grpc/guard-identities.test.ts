import { toPem, type X509Svid } from '@countersign/spiffe'
import { grpcChannelCredentials, grpcServerCredentials } from '@countersign/spiffe/grpc'
import { createTestAuthority, type TestAuthority } from '@countersign/spiffe/testing'
import { allowAny } from '@countersign/spiffe/tls'
import {
  type ChannelCredentials,
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createGuard, type Guard } from '../guard.ts'
import { audience, startIssuer, type TestIssuer } from '../issuer.fixture.ts'
import { readPeerCertificate } from '../peer-certificate/peer-certificate.ts'
import { callerOf } from './admitted-caller.ts'
import { type GrpcRequirements, guardGrpc } from './guard-grpc.ts'
import { type AnyCall, createVerifier, methods, type Outcome, tokenFor, unary } from './guarded-service.fixture.ts'

const example = createTestAuthority('example.org')
const bundles = new Map([['example.org', example.bundle]])
const allow = { spiffeIds: ['spiffe://example.org/orders'] }
const ordersSvid = example.x509Svid('/orders')

let issuer: TestIssuer
const running: { close(): void }[] = []
beforeAll(async () => {
  issuer = await startIssuer()
})
afterAll(() => issuer.stop())
afterEach(() => {
  for (const one of running.splice(0)) one.close()
})

/** Answers with who called. */
async function serve(
  guard: Guard,
  options: GrpcRequirements = {},
  serverCredentials = ServerCredentials.createInsecure(),
): Promise<number> {
  const server = new Server()
  const implementation = {
    unary: (call: AnyCall, callback: (error: null, answer: unknown) => void) =>
      callback(null, { caller: callerOf(call) ?? null, m2mPayload: call.m2mPayload ?? null }),
  } as unknown as UntypedServiceImplementation
  server.addService(...guardGrpc(guard, { unary: methods.unary } as ServiceDefinition, implementation, options))
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('localhost:0', serverCredentials, (error, bound) => (error ? reject(error) : resolve(bound))),
  )
  running.push({ close: () => server.forceShutdown() })
  return port
}

function call(port: number, metadata: Record<string, string | string[]> = {}, by = credentials.createInsecure()) {
  const client = new Client(`localhost:${port}`, by, { 'grpc.enable_retries': 0 })
  running.push({ close: () => client.close() })
  const sent = new Metadata()
  for (const [name, value] of Object.entries(metadata)) for (const each of [value].flat()) sent.add(name, each)
  return unary(client, { a: 1 }, sent)
}

function refusal({ error }: Outcome) {
  return [error?.code, error?.metadata.get('m2m-reason')[0]]
}

const withToken = (token: string) => ({ authorization: `Bearer ${token}` })

describe('a gRPC service behind a guard', () => {
  it('takes access tokens, and asks for scopes', async () => {
    const guard = createGuard({ issuer: issuer.issuer, audience })
    const port = await serve(guard, { requirement: { scopes: ['read:orders'] } })
    const { answer } = await call(port, withToken(issuer.token()))
    expect(answer).toMatchObject({ caller: { method: 'access_token', clientId: 'svc-orders' }, m2mPayload: null })
    expect(refusal(await call(port))).toEqual([status.UNAUTHENTICATED, 'missing_credential'])
    expect(refusal(await call(port, withToken('abc')))).toEqual([status.UNAUTHENTICATED, 'malformed_token'])
    const without = await call(port, withToken(issuer.token({ scope: undefined })))
    expect(refusal(without)).toEqual([status.PERMISSION_DENIED, 'insufficient_scope'])
  })

  it('refuses a credential that comes twice or as binary metadata (attack 70)', async () => {
    const port = await serve(createGuard({ issuer: issuer.issuer, audience }))
    const token = issuer.token()
    const twice = await call(port, { authorization: `Bearer ${token}, Bearer ${token}` })
    expect(twice.error?.code).toBe(status.INVALID_ARGUMENT)
    const metadata = new Metadata()
    metadata.add('authorization', `Bearer ${token}`)
    metadata.add('authorization-bin', Buffer.from(`Bearer ${token}`))
    const client = new Client(`localhost:${port}`, credentials.createInsecure())
    running.push({ close: () => client.close() })
    expect((await unary(client, {}, metadata)).error?.code).toBe(status.INVALID_ARGUMENT)
  })

  it('opens single methods', async () => {
    const port = await serve(createGuard({ issuer: issuer.issuer, audience }), { methods: { unary: 'anonymous' } })
    expect((await call(port)).answer).toMatchObject({ caller: null })
    const definition = { unary: methods.unary } as ServiceDefinition
    const guard = createGuard({ issuer: issuer.issuer, audience })
    expect(() => guardGrpc(guard, definition, {}, { methods: { unry: {} } })).toThrow(/unry/)
    expect(() => guardGrpc(guard, definition, {}, { requirement: { mtls: 'required' } })).toThrow(/mtls/)
  })

  it('takes JWT-SVIDs', async () => {
    const port = await serve(createGuard({ jwtSvid: { bundles, audience, allow } }))
    const { answer } = await call(port, withToken(example.jwtSvid('/orders', [audience])))
    expect(answer).toMatchObject({ caller: { method: 'jwt_svid', spiffeId: 'spiffe://example.org/orders' } })
    const other = await call(port, withToken(example.jwtSvid('/billing', [audience])))
    expect(refusal(other)).toEqual([status.PERMISSION_DENIED, 'caller_not_allowed'])
  })

  it('takes service tokens beside access tokens, and refuses what is wrong beside what is right', async () => {
    const guard = createGuard({ issuer: issuer.issuer, audience, serviceTokens: createVerifier() })
    const port = await serve(guard)
    const token = () => tokenFor({ message: { a: 1 } })
    const { answer } = await call(port, { 'x-m2m-token': token() })
    expect(answer).toMatchObject({ caller: { method: 'service_token' }, m2mPayload: { sender: 'order-service' } })
    expect((await call(port, withToken(issuer.token()))).answer).toMatchObject({ caller: { method: 'access_token' } })
    const both = await call(port, { 'x-m2m-token': token(), ...withToken('abc') })
    expect(refusal(both)).toEqual([status.UNAUTHENTICATED, 'malformed_token'])
    const wrong = await call(port, { 'x-m2m-token': tokenFor({ message: { a: 2 } }), ...withToken(issuer.token()) })
    expect(refusal(wrong)).toEqual([status.UNAUTHENTICATED, 'digest'])
  })
})

describe('a gRPC service that sees certificates', () => {
  const secure = (to: X509Svid) => grpcChannelCredentials(sourceOf(to), allowAny())

  it('takes callers by SPIFFE ID', async () => {
    const guard = createGuard({ mtls: { bundles, allow } })
    const port = await serve(guard, {}, grpcServerCredentials(sourceOf(example.x509Svid('/stock')), allowAny()))
    const { answer } = await call(port, {}, secure(ordersSvid))
    expect(answer).toMatchObject({ caller: { method: 'mtls', spiffeId: 'spiffe://example.org/orders' } })
    const other = await call(port, {}, secure(example.x509Svid('/billing')))
    expect(refusal(other)).toEqual([status.PERMISSION_DENIED, 'caller_not_allowed'])
  })

  it('takes bound tokens together with their certificate only', async () => {
    const guard = createGuard({ issuer: issuer.issuer, audience })
    const port = await serve(guard, {}, grpcServerCredentials(sourceOf(example.x509Svid('/stock')), allowAny()))
    const { thumbprint } = readPeerCertificate([ordersSvid.certificates[0]!.der])!
    const bound = withToken(issuer.token({ cnf: { 'x5t#S256': thumbprint } }))
    expect((await call(port, bound, secure(ordersSvid))).answer).toMatchObject({ caller: { method: 'access_token' } })
    const stolen = await call(port, bound, secure(example.x509Svid('/orders')))
    expect(refusal(stolen)).toEqual([status.UNAUTHENTICATED, 'wrong_certificate'])
    const open = await serve(guard)
    expect(refusal(await call(open, bound))).toEqual([status.UNAUTHENTICATED, 'proof_required'])
  })

  it("takes plain certificates of grpc-js's own credentials", async () => {
    const ca = createTestAuthority('ca.test')
    const root = Buffer.from(toPem(ca.issuer.certificate.der))
    const pair = (options: Parameters<TestAuthority['certificate']>[0]) => {
      const { certificatePem, keyPem } = ca.certificate(options)
      return { cert_chain: Buffer.from(certificatePem), private_key: Buffer.from(keyPem) }
    }
    const guard = createGuard({ mtls: { ca: String(root), allow: { dnsNames: ['orders.example.org'] } } })
    const own = pair({ dnsNames: ['localhost'] })
    const port = await serve(guard, {}, ServerCredentials.createSsl(root, [own], true))
    const by = (dnsName: string): ChannelCredentials => {
      const { cert_chain, private_key } = pair({ dnsNames: [dnsName] })
      return credentials.createSsl(root, private_key, cert_chain)
    }
    const { answer } = await call(port, {}, by('orders.example.org'))
    expect(answer).toMatchObject({ caller: { method: 'mtls', clientId: 'orders.example.org' } })
    const other = await call(port, {}, by('billing.example.org'))
    expect(refusal(other)).toEqual([status.PERMISSION_DENIED, 'caller_not_allowed'])
  })
})

function sourceOf(svid: X509Svid) {
  return { svid: () => svid, bundles, onUpdate: () => () => {} }
}
