export { createDockerAttestor, type DockerAttestorOptions } from './attestors/docker.ts'
export type { KubeletOptions } from './attestors/kubelet.ts'
export { createKubernetesAttestor, type KubernetesAttestorOptions } from './attestors/kubernetes.ts'
export { createSystemdAttestor } from './attestors/systemd.ts'
export { createUnixAttestor, type UnixAttestorOptions } from './attestors/unix.ts'
export {
  type Attestation,
  attestWorkload,
  type Selector,
  type WorkloadAttestor,
} from './attestors/workload-attestor.ts'
export { peerOf } from './peer/peer-of.ts'
export { type CallPeers, createCallPeers } from './peer/peer-of-call.ts'
export { createProcessWatch, type ProcessWatch } from './process/process-watch.ts'
export { WorkloadError, type WorkloadErrorCode } from './process/workload-error.ts'
export type { WorkloadProcess } from './process/workload-process.ts'
