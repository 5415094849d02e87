export { type Agent, type AgentStatus, createAgent } from './agent.ts'
export { AgentError, type AgentErrorCode } from './agent-error.ts'
export type { AgentLog } from './agent-log.ts'
export type { AgentOptions } from './agent-options.ts'
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
export type { Clock } from './clock.ts'
export type { NodeCredential } from './node-attestation/node-attestors.ts'
export { peerOf } from './peer/peer-of.ts'
export { type CallPeers, createCallPeers } from './peer/peer-of-call.ts'
export { createProcessWatch, type ProcessWatch } from './process/process-watch.ts'
export { WorkloadError, type WorkloadErrorCode } from './process/workload-error.ts'
export type { WorkloadProcess } from './process/workload-process.ts'
export type { Bootstrap } from './server-connection/bootstrap.ts'
export { AgentSettingsError, readAgentSettings } from './settings/read-agent-settings.ts'
export { agentSettings, type Setting } from './settings/setting-table.ts'
