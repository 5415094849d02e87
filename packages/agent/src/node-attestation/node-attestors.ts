import { joinToken } from './join-token.ts'
import { k8sPsat } from './k8s-psat.ts'
import type { NodeAttestor } from './node-attestor.ts'
import { x509pop } from './x509pop.ts'

/** How this node proves itself; exactly one. */
export type NodeCredential =
  | { readonly joinToken: string }
  | { readonly joinTokenFile: string }
  | { readonly x509pop: { readonly certificateFile: string; readonly keyFile: string } }
  | { readonly k8sPsat: { readonly cluster: string; readonly tokenFile: string } }

export function nodeAttestorFor(credential: NodeCredential): NodeAttestor {
  if ('joinToken' in credential) return joinToken(credential.joinToken)
  if ('joinTokenFile' in credential) return joinToken({ file: credential.joinTokenFile })
  if ('x509pop' in credential) return x509pop(credential.x509pop)
  return k8sPsat(credential.k8sPsat)
}
