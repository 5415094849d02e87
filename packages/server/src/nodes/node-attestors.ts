import type { Certificate } from '@countersign/spiffe'
import { type JoinTokenAttestorOptions, joinTokenAttestor } from './attestors/join-token.ts'
import { type KubernetesCluster, k8sPsatAttestor } from './attestors/k8s-psat.ts'
import { x509popAttestor } from './attestors/x509pop.ts'
import type { NodeAttestor } from './node-attestor.ts'

export interface NodeAttestorSettings {
  /** Default true */
  joinToken?: boolean
  /** CAs whose certificates let nodes join */
  x509pop?: { authorities: () => readonly Certificate[] }
  /** Kubernetes clusters by the names that agents give */
  k8sPsat?: { clusters: Readonly<Record<string, KubernetesCluster>> }
}

/** The ways of attestation that are configured. */
export function openNodeAttestors(settings: NodeAttestorSettings, context: JoinTokenAttestorOptions): NodeAttestor[] {
  const { joinToken = true, x509pop, k8sPsat } = settings
  return [
    ...(joinToken ? [joinTokenAttestor(context)] : []),
    ...(x509pop ? [x509popAttestor({ ...context, ...x509pop })] : []),
    ...(k8sPsat ? [k8sPsatAttestor({ ...context, ...k8sPsat })] : []),
  ]
}
