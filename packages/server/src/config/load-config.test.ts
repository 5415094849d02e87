import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { generateMasterKey } from '../sealing/master-key.ts'
import { ConfigError, loadConfig } from './load-config.ts'

const masterKey = generateMasterKey()
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-config-'))
})
afterEach(() => rm(folder, { recursive: true }))

/** What is wrong with a file, the folder's name left out */
async function problems(text: string, environment: NodeJS.ProcessEnv = {}): Promise<readonly string[]> {
  const file = join(folder, 'countersign.yaml')
  await writeFile(file, text)
  try {
    loadConfig({ file, environment: { COUNTERSIGN_MASTER_KEY: masterKey, ...environment } })
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map((problem) => problem.replaceAll(`${folder}/`, ''))
    throw error
  }
}

const issuer = 'issuer: https://auth.example.com/\n'

const cluster = (server: string) =>
  `spiffe: { trust_domain: a, node_attestors: { k8s_psat: { clusters: { one: { api_server: '${server}', ca_file: a, token_file: b, service_accounts: ['ns:sa'] } } } } }`

describe('a typo', () => {
  it('is named with its line and the nearest right setting', async () => {
    expect(await problems(`${issuer}databse_url: sqlite:a.db`)).toEqual([
      'countersign.yaml:2:1: there is no setting "databse_url"; did you mean "database_url"?',
    ])
  })

  it('in what holds other settings is answered with that, not with one of them', async () => {
    expect(await problems(`${issuer}rate_limits:\n  per_adress: { quota: 5 }`)).toEqual([
      'countersign.yaml:3:3: there is no setting "rate_limits.per_adress"; did you mean "rate_limits.per_address"?',
    ])
  })

  it('comes before what is missing because of it', async () => {
    const [first, ...rest] = await problems(`${issuer}tls:\n  cert_fil: a.pem\n  key_file: b.pem`)
    expect(first).toBe('countersign.yaml:3:3: there is no setting "tls.cert_fil"; did you mean "tls.cert_file"?')
    expect(rest).toEqual(['tls.cert_file is missing; set it in the file or as COUNTERSIGN_TLS_CERT_FILE'])
  })

  it('in the environment is named too', async () => {
    expect(await problems(issuer, { COUNTERSIGN_PRT: '1' })).toEqual([
      'COUNTERSIGN_PRT: there is no such setting; did you mean COUNTERSIGN_PORT?',
    ])
  })
})

it('tells of broken YAML once, where it begins', async () => {
  expect(await problems(`${issuer}\tport: 1\n- a: [\n`)).toEqual([
    expect.stringMatching(/^countersign\.yaml:2:1: Tabs are not allowed as indentation$/),
  ])
})

it('says which file of a mounted secret is not there', async () => {
  const environment = { COUNTERSIGN_MASTER_KEY: '', COUNTERSIGN_MASTER_KEY_FILE: '/nonexistent/master.key' }
  expect(await problems(issuer, environment)).toContain(
    'COUNTERSIGN_MASTER_KEY_FILE: /nonexistent/master.key cannot be read (ENOENT); name the file that holds the value',
  )
})

describe('what would be unsafe is refused', () => {
  it.each([
    ['an issuer over plain http', 'issuer: http://auth.example.com/', /^issuer: .*use https/],
    ['keys published too late', `${issuer}keys: { rotation: 1d, publish_ahead: 2d }`, /publish_ahead must be shorter/],
    ['a short secret of the administrator', `${issuer}admin: { client_secret: short }`, /at least 32 characters/],
    ['a trust domain that is none', `${issuer}spiffe: { trust_domain: 'Example Org' }`, /must be a trust domain name/],
    [
      'SVIDs of a second',
      `${issuer}spiffe: { trust_domain: a, x509_svid_ttl: 1s }`,
      /x509_svid_ttl must be at least 5s/,
    ],
    ['SVIDs that outlive their CA', `${issuer}spiffe: { trust_domain: a, ca_lifetime: 90m }`, /at most half of/, {}, 2],
    ['CAs published too late', `${issuer}spiffe: { trust_domain: a, publish_ahead: 40d }`, /at most a third of/],
    ['CAs that sign as soon as they are made', `${issuer}spiffe: { trust_domain: a, publish_ahead: 0 }`, /at least 5s/],
    ['a cluster asked over http', `${issuer}${cluster('http://10.0.0.1')}`, /must be an https URL/],
    ['an mTLS header that anybody may send', `${issuer}mtls: { proxies: { header: xfcc } }`, /name the proxies by/],
    ['half of a certificate for mTLS', `${issuer}mtls: { port: 8443, cert_file: a.pem }`, /go together/],
    ['mTLS that listens nowhere', `${issuer}mtls: { host: localhost }`, /set mtls.port to listen/],
    ['a master key that is none', `${issuer}master_key: abc`, /must be 32 bytes/, { COUNTERSIGN_MASTER_KEY: '' }],
  ])('%s', async (_what, text, sentence, environment: NodeJS.ProcessEnv = {}, times = 1) => {
    expect(await problems(text, environment)).toEqual(Array(times).fill(expect.stringMatching(sentence)))
  })
})

it('never shows a value that may be secret', async () => {
  const told = await problems(`${issuer}admin: { client_secret: canary }\nmaster_key: canary`, {
    COUNTERSIGN_MASTER_KEY: '',
    COUNTERSIGN_METRICS_TOKEN: 'canary',
  })
  expect(told.length).toBeGreaterThan(2)
  expect(told.join()).not.toContain('canary')
})

it('takes no notice of what Kubernetes says of a Service that is called countersign', () => {
  const links = {
    COUNTERSIGN_SERVICE_HOST: '10.0.0.7',
    COUNTERSIGN_SERVICE_PORT: '443',
    COUNTERSIGN_SERVICE_PORT_HTTPS: '443',
    COUNTERSIGN_PORT: 'tcp://10.0.0.7:443',
    COUNTERSIGN_PORT_443_TCP: 'tcp://10.0.0.7:443',
    COUNTERSIGN_PORT_443_TCP_PROTO: 'tcp',
    COUNTERSIGN_PORT_443_TCP_PORT: '443',
    COUNTERSIGN_PORT_443_TCP_ADDR: '10.0.0.7',
    COUNTERSIGN_NODES_SERVICE_HOST: '10.0.0.8',
    COUNTERSIGN_MTLS_PORT: 'tcp://10.0.0.9:443',
  }
  const own = { COUNTERSIGN_ISSUER: 'http://localhost:1/', COUNTERSIGN_MASTER_KEY: masterKey }
  expect(loadConfig({ environment: { ...own, ...links } })).toEqual(loadConfig({ environment: own }))
})

it('lets the environment win over the file, and keeps the issuer as it is written', async () => {
  const file = join(folder, 'a.yaml')
  await writeFile(file, `${issuer}port: 1\nkeys: { rotation: 20d }`)
  const config = loadConfig({
    file,
    environment: { COUNTERSIGN_PORT: '2', COUNTERSIGN_MASTER_KEY: masterKey, COUNTERSIGN_RATE_LIMITS: 'off' },
  })
  expect(config).toMatchObject({
    issuer: 'https://auth.example.com/',
    port: 2,
    rate_limits: 'off',
    keys: { rotation: 20 * 86_400 },
  })
})

it('takes the settings of workload identity from the environment, lists too, and fills in the rest', async () => {
  const config = loadConfig({
    environment: {
      COUNTERSIGN_ISSUER: 'https://auth.example.com/',
      COUNTERSIGN_MASTER_KEY: masterKey,
      COUNTERSIGN_SPIFFE_TRUST_DOMAIN: 'example.org',
      COUNTERSIGN_SPIFFE_X509_SVID_TTL: '20s',
      COUNTERSIGN_SPIFFE_UPSTREAM_CA_CERT_FILE: '/etc/ca.crt',
      COUNTERSIGN_SPIFFE_UPSTREAM_CA_KEY_FILE: '/etc/ca.key',
      COUNTERSIGN_SPIFFE_NODE_ATTESTORS_JOIN_TOKEN: 'false',
      COUNTERSIGN_MTLS_PORT: '8443',
      COUNTERSIGN_MTLS_PROXIES_HEADER: 'client-cert',
      COUNTERSIGN_MTLS_PROXIES_ADDRESSES: '10.0.0.0/8, ::1',
    },
  })
  expect(config.spiffe).toMatchObject({
    trust_domain: 'example.org',
    node_port: 8081,
    x509_svid_ttl: 20,
    jwt_svid_ttl: 300,
    ca_lifetime: 90 * 86_400,
    upstream_ca: { cert_file: '/etc/ca.crt', key_file: '/etc/ca.key' },
    node_attestors: { join_token: false },
  })
  expect(config.mtls).toMatchObject({ port: 8443, proxies: { addresses: ['10.0.0.0/8', '::1'], spiffe_ids: [] } })
})
