import { request } from 'node:https'
import { parseBundleDocument } from '@countersign/spiffe'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type AdminApiUnderTest, openAdminApi } from '../admin/admin-api.fixture.ts'
import { rotateAuthority } from '../certificate-authorities/lifecycle.ts'
import { eventually } from '../storage/services.fixture.ts'
import { workloadIdentityOf } from '../workload-identity.ts'
import { type BundleEndpoint, startBundleEndpoint } from './bundle-endpoint.ts'
import { fetchBundle } from './fetch-bundle.ts'

let server: AdminApiUnderTest
let endpoint: BundleEndpoint
const errors: unknown[] = []

beforeEach(async () => {
  server = await openAdminApi({ spiffe: { trustDomain: 'example.org' } })
  const onError = (_what: string, error: unknown) => errors.push(error)
  endpoint = await startBundleEndpoint({ authority: server.authority, host: '127.0.0.1', port: 0, onError })
})
afterEach(async () => {
  await endpoint.close()
  await server.close()
})

const own = () => workloadIdentityOf(server.authority).ca.bundle()

/** As another trust domain does that knows `bundle` of ours. */
async function fetchWith(bundle = own(), spiffeId = 'spiffe://example.org/spire/server') {
  const url = `https://localhost:${endpoint.port}/`
  const bundles = new Map([['example.org', bundle]])
  const context = { bundles, now: server.authority.now, signal: new AbortController().signal }
  const text = await fetchBundle({ url, profile: 'https_spiffe', spiffeId }, context)
  return parseBundleDocument('example.org', text)
}

it('serves the bundle to who knows an earlier one, across rotations of the CA, on connections made after them', async () => {
  const first = own()
  expect((await fetchWith()).sequenceNumber).toBe(first.sequenceNumber)
  const { authorities } = workloadIdentityOf(server.authority)
  await rotateAuthority('x509', authorities)
  await server.authority.feed.catchUp()
  const second = await fetchWith(first)
  expect(second.x509Authorities).toHaveLength(2)
  await rotateAuthority('x509', authorities, { force: true })
  await server.authority.feed.catchUp()
  // Who knows only the one before the last cannot know the server any more: that is why bundles are fetched in time.
  await eventually(() =>
    fetchWith(first).then(
      () => false,
      ({ code }) => code === 'unreachable',
    ),
  )
  expect((await fetchWith(second)).sequenceNumber).toBe(own().sequenceNumber)
})

it('is known by its own ID and no other', async () => {
  await expect(fetchWith(own(), 'spiffe://example.org/somebody')).rejects.toMatchObject({ code: 'unreachable' })
})

it('takes no request that would change anything, and gives the bundle once to who has it', async () => {
  const ask = (method: string, headers = {}) =>
    new Promise<{ status: number | undefined; etag: string | undefined }>((resolve, reject) => {
      const options = { host: '127.0.0.1', port: endpoint.port, method, headers, rejectUnauthorized: false }
      request(options, (answer) => {
        answer.resume()
        resolve({ status: answer.statusCode, etag: answer.headers.etag })
      })
        .on('error', reject)
        .end()
    })
  expect((await ask('POST')).status).toBe(405)
  const { status, etag } = await ask('GET')
  expect(status).toBe(200)
  expect((await ask('GET', { 'if-none-match': etag })).status).toBe(304)
  expect(errors).toEqual([])
})
