/** Proves to the server which node this is. A new way is a file here and a line in `node-attestors.ts`. */
export interface NodeAttestor {
  /** As the server knows it: `join_token`, `x509pop`, `k8s_psat`. */
  readonly type: string
  /** May be asked again for another attestation; undefined when the credential is used up. */
  readonly reusable: boolean
  payload(): Promise<Buffer>
  /** Answers what the server asks in between. */
  respond(challenge: Buffer): Promise<Buffer>
}
