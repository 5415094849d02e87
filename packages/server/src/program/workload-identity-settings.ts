import { parsePemCertificates } from '@countersign/spiffe'
import type { Logger } from 'pino'
import type { Config } from '../config/config-schema.ts'
import type { KubernetesCluster } from '../nodes/attestors/k8s-psat.ts'
import type { WorkloadIdentitySettings } from '../workload-identity.ts'
import { followedFile } from './followed-file.ts'

type SpiffeConfig = NonNullable<Config['spiffe']>

/** @throws Error when a file that the configuration names cannot be read or holds something else */
export function workloadIdentitySettings(spiffe: SpiffeConfig, logger: Logger): WorkloadIdentitySettings {
  const { node_attestors: attestors, upstream_ca: upstream } = spiffe
  return {
    trustDomain: spiffe.trust_domain,
    caLifetimeSeconds: spiffe.ca_lifetime,
    publishAheadSeconds: spiffe.publish_ahead,
    bundleRefreshHintSeconds: spiffe.bundle_refresh_hint,
    nodeAttestors: {
      joinToken: attestors.join_token,
      ...(attestors.x509pop && {
        x509pop: {
          authorities: followedFile({
            setting: 'spiffe.node_attestors.x509pop.ca_file',
            file: attestors.x509pop.ca_file,
            read: parsePemCertificates,
            logger,
          }),
        },
      }),
      ...(attestors.k8s_psat && { k8sPsat: { clusters: readClusters(attestors.k8s_psat.clusters, logger) } }),
    },
    ...(upstream && {
      upstream: { certFile: upstream.cert_file, keyFile: upstream.key_file, bundleFile: upstream.bundle_file },
    }),
  }
}

type ClusterConfig = NonNullable<SpiffeConfig['node_attestors']['k8s_psat']>['clusters'][string]

function readClusters(clusters: Record<string, ClusterConfig>, logger: Logger) {
  const entries = Object.entries(clusters).map(([name, cluster]): [string, KubernetesCluster] => [
    name,
    {
      apiServer: cluster.api_server,
      certificateAuthority: followedFile({
        setting: `spiffe.node_attestors.k8s_psat.clusters.${name}.ca_file`,
        file: cluster.ca_file,
        read: (pem) => pem,
        logger,
      }),
      tokenFile: cluster.token_file,
      serviceAccounts: cluster.service_accounts,
      audience: cluster.audience,
      nodeLabels: cluster.node_labels,
      podLabels: cluster.pod_labels,
    },
  ])
  return Object.fromEntries(entries)
}
