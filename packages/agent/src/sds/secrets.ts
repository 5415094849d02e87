import { type Bundle, formatPemCertificates } from '@countersign/spiffe'
import { Secret, SPIFFECertValidatorConfig } from '@countersign/spiffe/protocol/envoy-tls'
import type { Any } from '@countersign/spiffe/protocol/google/protobuf/any'
import type { AuthorizedEntry } from '../entries/authorized-entry.ts'
import type { IssuedX509Svid } from '../svids/issue-x509-svids.ts'
import type { KnownBundles } from '../workload-api/workload-messages.ts'

/** The names that SPIRE's agent made usual in Envoy configurations. */
const defaultCertificate = 'default'
const ownBundle = 'ROOTCA'
const allBundles = 'ALL'

export const secretType = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret'
const validatorType = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig'

/** One secret as a caller names it. */
export type NamedSecret =
  | { readonly name: string; readonly entry: AuthorizedEntry }
  | { readonly name: string; readonly bundles: readonly Bundle[] }

/**
 * What a caller with these entries may have under the names it gives: `default` and its SPIFFE IDs are certificates;
 * `ROOTCA`, `ALL` and IDs of trust domains are what peers are judged by. No name at all is everything.
 * @returns undefined when one of the names is nothing of the caller's
 */
export function namedSecrets(
  names: readonly string[],
  entries: readonly AuthorizedEntry[],
  { own, federated }: KnownBundles,
): NamedSecret[] | undefined {
  const known = [own, ...federated]
  const wanted = [...new Set(names.filter((name) => name !== ''))]
  if (wanted.length === 0)
    return [
      ...firstOfEachId(entries).map((entry) => ({ name: entry.spiffeId, entry })),
      ...known.map((bundle) => ({ name: idOf(bundle), bundles: [bundle] })),
    ]
  const found = wanted.map((name): NamedSecret | undefined => {
    if (name === ownBundle) return { name, bundles: [own] }
    if (name === allBundles) return { name, bundles: known }
    const bundle = known.find((candidate) => idOf(candidate) === name)
    if (bundle) return { name, bundles: [bundle] }
    const entry = name === defaultCertificate ? entries[0] : entries.find(({ spiffeId }) => spiffeId === name)
    return entry && { name, entry }
  })
  return found.every((secret) => secret !== undefined) ? found : undefined
}

/** A certificate with its key, PEM. */
export function certificateSecret(name: string, svid: IssuedX509Svid): Any {
  const chain = formatPemCertificates(svid.certificates)
  const key = svid.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  return secret({
    name,
    type: { $case: 'tlsCertificate', value: { certificateChain: inline(chain), privateKey: inline(key) } },
  })
}

/** Envoy's SPIFFE validator holds a peer to the bundle of the trust domain in its ID, each by itself. */
export function validationSecret(name: string, bundles: readonly Bundle[]): Any {
  const config = SPIFFECertValidatorConfig.encode({
    trustDomains: bundles.map((bundle) => ({
      name: bundle.trustDomain,
      trustBundle: inline(formatPemCertificates(bundle.x509Authorities)),
    })),
  })
  const typedConfig = { typeUrl: validatorType, value: Buffer.from(config.finish()) }
  return secret({
    name,
    type: {
      $case: 'validationContext',
      value: {
        trustedCa: undefined,
        customValidatorConfig: { name: 'envoy.tls.cert_validator.spiffe', typedConfig },
      },
    },
  })
}

function secret(message: Secret): Any {
  return { typeUrl: secretType, value: Buffer.from(Secret.encode(message).finish()) }
}

function inline(text: string) {
  return { specifier: { $case: 'inlineBytes' as const, value: Buffer.from(text) } }
}

function idOf({ trustDomain }: Bundle): string {
  return `spiffe://${trustDomain}`
}

/** Secrets are named by ID: of two entries with the same one the first is served. */
function firstOfEachId(entries: readonly AuthorizedEntry[]): AuthorizedEntry[] {
  return entries.filter(({ spiffeId }, index) => entries.findIndex((other) => other.spiffeId === spiffeId) === index)
}
