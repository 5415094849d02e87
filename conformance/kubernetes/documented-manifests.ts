import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import type { Cluster } from './cluster.ts'

const page = new URL('../../docs/kubernetes.md', import.meta.url)

const collections: Record<string, string> = {
  Namespace: '/api/v1/namespaces',
  ServiceAccount: '/api/v1/namespaces/NAMESPACE/serviceaccounts',
  ConfigMap: '/api/v1/namespaces/NAMESPACE/configmaps',
  Pod: '/api/v1/namespaces/NAMESPACE/pods',
  ClusterRole: '/apis/rbac.authorization.k8s.io/v1/clusterroles',
  ClusterRoleBinding: '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
  DaemonSet: '/apis/apps/v1/namespaces/NAMESPACE/daemonsets',
}

/** Applies every manifest of docs/kubernetes.md as it stands there. @returns what the API server made of each */
// biome-ignore lint/suspicious/noExplicitAny: Kubernetes' own shapes
export async function applyDocumentedManifests(cluster: Cluster): Promise<any[]> {
  const applied = []
  for (const manifest of documentedManifests()) {
    const { kind, metadata } = parse(manifest)
    const collection = collections[kind]?.replace('NAMESPACE', metadata.namespace)
    applied.push(await cluster.call('PATCH', `${collection}/${metadata.name}`, manifest))
  }
  return applied
}

function documentedManifests(): string[] {
  const blocks = readFileSync(page, 'utf8').matchAll(/^```yaml\n(.*?)^```/gms)
  return [...blocks].flatMap(([, block = '']) => block.split(/^---\n/m))
}
