import { readFileSync } from 'node:fs'
import { parsePemCertificates } from '@countersign/spiffe'
import type { Config } from '../config/config-schema.ts'
import type { KubernetesCluster } from '../nodes/attestors/k8s-psat.ts'
import type { WorkloadIdentitySettings } from '../workload-identity.ts'

type SpiffeConfig = NonNullable<Config['spiffe']>

/** @throws Error when a file that the configuration names cannot be read or holds something else */
export function workloadIdentitySettings(spiffe: SpiffeConfig): WorkloadIdentitySettings {
  const { node_attestors: attestors, upstream_ca: upstream } = spiffe
  return {
    trustDomain: spiffe.trust_domain,
    caLifetimeSeconds: spiffe.ca_lifetime,
    publishAheadSeconds: spiffe.publish_ahead,
    bundleRefreshHintSeconds: spiffe.bundle_refresh_hint,
    nodeAttestors: {
      joinToken: attestors.join_token,
      ...(attestors.x509pop && { x509pop: { authorities: readAuthorities(attestors.x509pop.ca_file) } }),
      ...(attestors.k8s_psat && { k8sPsat: { clusters: readClusters(attestors.k8s_psat.clusters) } }),
    },
    ...(upstream && {
      upstream: { certFile: upstream.cert_file, keyFile: upstream.key_file, bundleFile: upstream.bundle_file },
    }),
  }
}

type ClusterConfig = NonNullable<SpiffeConfig['node_attestors']['k8s_psat']>['clusters'][string]

function readClusters(clusters: Record<string, ClusterConfig>) {
  const entries = Object.entries(clusters).map(([name, cluster]): [string, KubernetesCluster] => [
    name,
    {
      apiServer: cluster.api_server,
      certificateAuthority: readFileSync(cluster.ca_file, 'utf8'),
      tokenFile: cluster.token_file,
      serviceAccounts: cluster.service_accounts,
      audience: cluster.audience,
      nodeLabels: cluster.node_labels,
      podLabels: cluster.pod_labels,
    },
  ])
  return Object.fromEntries(entries)
}

function readAuthorities(file: string) {
  const authorities = parsePemCertificates(readFileSync(file, 'utf8'))
  if (authorities.length === 0) throw new Error(`${file} holds no certificate in PEM`)
  return authorities
}
