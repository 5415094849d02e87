import { closest, distance } from 'fastest-levenshtein'

/** How the text of a setting is read. */
export type SettingKind = 'text' | 'path' | 'duration' | 'count' | 'switch' | 'list'

export interface Setting {
  /** As in the file, with dots between levels: `node.x509pop.key_file`. */
  readonly name: string
  readonly kind: SettingKind
  readonly description: string
  /** What holds where it is left out, as it would be written. */
  readonly byDefault?: string
}

/** Every setting of the agent. In the environment `a.b_c` is `COUNTERSIGN_AGENT_A_B_C`. */
export const agentSettings: readonly Setting[] = [
  setting('server', 'text', "the server's node API, HOST:PORT (port 8081 when left out)"),
  setting('trust_domain', 'text', 'the trust domain that the server issues for'),
  setting(
    'bootstrap.bundle_file',
    'path',
    'what the server is first judged by: certificates (PEM) or a bundle document',
  ),
  setting('bootstrap.bundle_url', 'text', 'the same from a URL, https or on this machine'),
  setting('bootstrap.bundle_url_ca_file', 'path', "certificates (PEM) to judge that URL by, instead of the system's"),
  setting('bootstrap.insecure', 'switch', 'believe whatever server answers first; for trying out only', 'false'),
  setting('node.join_token', 'text', 'attest this node by a token from the server, once'),
  setting('node.join_token_file', 'path', 'the same in a file of its own, read when this node attests itself'),
  setting('node.x509pop.cert_file', 'path', 'attest this node by a certificate (PEM, with its chain)'),
  setting('node.x509pop.key_file', 'path', 'the key of that certificate (PEM)'),
  setting('node.k8s_psat.cluster', 'text', 'attest this node by its service account in this cluster'),
  setting(
    'node.k8s_psat.token_file',
    'path',
    'the projected service account token',
    '/var/run/secrets/tokens/countersign-agent',
  ),
  setting('socket', 'path', 'of the Workload API and SDS', '/run/countersign/agent.sock'),
  setting('admin_socket', 'path', 'for status and explain; of the own user only', '/run/countersign/agent-admin.sock'),
  setting('data_dir', 'path', "keep the agent's own key and SVID here, so that a restart needs no attestation"),
  setting('sync_interval', 'duration', 'how often the server is asked for changes', '5s'),
  setting('grace', 'duration', "how long after a workload's last process its identity ends", '30s'),
  setting('prefetch', 'count', 'how many SVIDs are kept ready before anybody asks', '1000'),
  setting('attestors.unix.enabled', 'switch', 'selectors unix:*', 'true'),
  setting('attestors.unix.binary', 'switch', 'look at the file that runs: unix:path and unix:sha256', 'true'),
  setting('attestors.unix.max_binary_bytes', 'count', 'larger binaries get no unix:sha256', '1073741824'),
  setting('attestors.systemd.enabled', 'switch', 'selectors systemd:*', 'false'),
  setting('attestors.docker.enabled', 'switch', 'selectors docker:*', 'false'),
  setting('attestors.docker.socket', 'path', "the engine's socket", '/var/run/docker.sock'),
  setting(
    'attestors.docker.control_group_parents',
    'list',
    'control groups in which the engine makes its containers',
    '/docker, /system.slice',
  ),
  setting('attestors.k8s.enabled', 'switch', 'selectors k8s:*', 'false'),
  setting('attestors.k8s.control_group_root', 'text', 'the control group that holds kubepods', '/'),
  setting('attestors.k8s.kubelet.host', 'text', "the node's name or address", '127.0.0.1'),
  setting('attestors.k8s.kubelet.server_name', 'text', "the name in the kubelet's certificate, if it is not host"),
  setting('attestors.k8s.kubelet.port', 'count', 'of the kubelet', '10250'),
  setting('attestors.k8s.kubelet.read_only_port', 'count', 'of the kubelet without TLS, instead'),
  setting(
    'attestors.k8s.kubelet.ca_file',
    'path',
    "what the kubelet's certificate is judged by",
    '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt',
  ),
  setting('attestors.k8s.kubelet.insecure_skip_verify', 'switch', 'take any certificate of the kubelet', 'false'),
  setting(
    'attestors.k8s.kubelet.token_file',
    'path',
    'service account token for the kubelet',
    '/var/run/secrets/kubernetes.io/serviceaccount/token',
  ),
  setting('attestors.k8s.kubelet.cert_file', 'path', 'client certificate for the kubelet'),
  setting('attestors.k8s.kubelet.key_file', 'path', 'the key of that certificate'),
]

/** `COUNTERSIGN_AGENT_NODE_X509POP_KEY_FILE` */
export function variableName(name: string): string {
  return `COUNTERSIGN_AGENT_${name.replaceAll('.', '_').toUpperCase()}`
}

/** `--node-x509pop-key-file` */
export function flagName(name: string): string {
  return `--${name.replaceAll(/[._]/g, '-')}`
}

/** `; did you mean "socket"?`, or nothing when none is near. */
export function nearestSetting(name: string, names: readonly string[]): string {
  const nearest = closest(name, names)
  return distance(name, nearest) <= 3 ? `; did you mean "${nearest}"?` : ''
}

function setting(name: string, kind: SettingKind, description: string, byDefault?: string): Setting {
  return { name, kind, description, ...(byDefault !== undefined && { byDefault }) }
}
