import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import {
  type Certificate,
  createBundle,
  createCaCertificate,
  createCertificateIssuer,
  parseCertificate,
  parseX509Svid,
} from '@countersign/spiffe'
import { grpcChannelCredentials, grpcServerCredentials } from '@countersign/spiffe/grpc'
import { HealthClient, type HealthServer, HealthService } from '@countersign/spiffe/protocol/health'
import { createTestAuthority } from '@countersign/spiffe/testing'
import { allowAny, createHttp2Server, peerOf, secureConnect } from '@countersign/spiffe/tls'
import { createSpiffeFetch } from '@countersign/spiffe/undici'
import { Metadata, Server } from '@grpc/grpc-js'
import { expect, it } from 'vitest'
import { newSerialNumber } from '../certificates/serial-number.ts'
import { listen, testSource } from './test-source.fixture.ts'

const times = { notBefore: Math.floor(Date.now() / 1000) - 10, notAfter: Math.floor(Date.now() / 1000) + 600 }
const root = newCa('Root')
const intermediate = newCa('Intermediate', root)
const issuer = createCertificateIssuer(intermediate)

it.each<[string, Certificate]>([
  ['the root', root.certificate],
  ['the intermediate itself', intermediate.certificate],
])('connects with SVIDs of an intermediate when the bundle holds %s', async (_anchor, anchor) => {
  const orders = sourceOf('/orders', anchor)
  const billing = sourceOf('/billing', anchor)
  const server = createHttp2Server(
    orders,
    allowAny(),
    (request, response) => response.end(`${peerOf(request)?.chain.length} ${peerOf(request)?.id.path}`),
    { http: { allowHTTP1: true } },
  )
  const port = await listen(server)
  const spiffeFetch = createSpiffeFetch(billing, allowAny())
  // What is an anchor is not part of the chain.
  const length = anchor === intermediate.certificate ? 1 : 2
  expect(await (await spiffeFetch(`https://127.0.0.1:${port}/`)).text()).toBe(`${length} /billing`)
  const socket = await secureConnect(billing, allowAny(), { host: '127.0.0.1', port })
  expect(peerOf(socket)?.chain).toHaveLength(length)
  socket.destroy()
  await spiffeFetch.close()
  server.close()
})

it('connects gRPC with SVIDs of an intermediate', async () => {
  const server = new Server()
  const implementation: HealthServer = { check: (_call, done) => done(null, { status: 1 }), watch() {} }
  server.addService(HealthService, implementation)
  const port = await new Promise<number>((resolve) => {
    const credentials = grpcServerCredentials(sourceOf('/orders', root.certificate), allowAny())
    server.bindAsync('127.0.0.1:0', credentials, (_error, bound) => resolve(bound))
  })
  const client = new HealthClient(
    `127.0.0.1:${port}`,
    grpcChannelCredentials(sourceOf('/billing', root.certificate), allowAny()),
  )
  const answer = await new Promise((resolve) => {
    client.check({ service: '' }, new Metadata(), (error, message) => resolve(error ?? message))
  })
  expect(answer).toEqual({ status: 1 })
  client.close()
  server.forceShutdown()
})

function newCa(commonName: string, above?: { key: KeyObject; certificate: Certificate }) {
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const names = { subject: { commonName }, trustDomain: 'example.org', serialNumber: newSerialNumber() }
  return { key, certificate: parseCertificate(createCaCertificate({ key, issuer: above, ...names, ...times })) }
}

function sourceOf(path: string, anchor: Certificate) {
  const source = testSource(createTestAuthority('example.org'), path)
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const leaf = issuer.issue({
    uris: [`spiffe://example.org${path}`],
    publicKeyDer: publicKey.export({ format: 'der', type: 'spki' }),
    serialNumber: newSerialNumber(),
    ...times,
  })
  const chain = Buffer.concat([leaf, intermediate.certificate.der])
  const svid = parseX509Svid(chain, privateKey.export({ format: 'der', type: 'pkcs8' }))
  source.set(svid, [createBundle({ trustDomain: 'example.org', x509Authorities: [anchor] })])
  return source
}
