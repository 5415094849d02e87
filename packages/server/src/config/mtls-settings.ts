import { z } from 'zod'
import { addressRange, list, port } from './setting-kinds.ts'

/** `mtls:`. A listener of its own that asks for a client certificate, and proxies that ask for one in its place. */
export const mtlsSettings = z.strictObject({
  port: port.optional().meta({ description: 'where clients come with a certificate; none where a proxy takes them' }),
  host: z.string().default('0.0.0.0'),
  base_url: z
    .url({ protocol: /^https$/, error: 'must be an https URL' })
    .optional()
    .meta({
      description: 'how clients reach it (mtls_endpoint_aliases); by default the host of the issuer, this port',
    }),
  cert_file: z
    .string()
    .optional()
    .meta({ description: "PEM; by default those of `tls`, else the trust domain's SVID" }),
  key_file: z.string().optional(),
  client_ca_file: z
    .string()
    .optional()
    .meta({ description: 'PEM: whose client certificates are believed, beside those of the trust domain' }),
  proxies: z
    .strictObject({
      header: z
        .enum(['client-cert', 'xfcc'])
        .meta({ description: 'Client-Cert (RFC 9440), or X-Forwarded-Client-Cert of Envoy' }),
      spiffe_ids: list(z.string().regex(/^spiffe:\/\//, 'must begin with spiffe://')).default([]),
      addresses: list(addressRange).default([]),
    })
    .optional()
    .meta({ description: 'whose header is believed: proxies by their own SVID, or (weaker) by their address' }),
})

/** What parses and still must not run. */
export function unsafeMtlsSettings(mtls: z.output<typeof mtlsSettings>): string[] {
  const unsafe: string[] = []
  if ((mtls.cert_file === undefined) !== (mtls.key_file === undefined)) {
    unsafe.push('mtls.cert_file and mtls.key_file go together: set both, or none')
  }
  if (mtls.proxies && mtls.proxies.spiffe_ids.length === 0 && mtls.proxies.addresses.length === 0) {
    unsafe.push('mtls.proxies: name the proxies by spiffe_ids or addresses, or anybody could send that header')
  }
  if (mtls.port === undefined && !mtls.proxies) {
    unsafe.push('mtls: set mtls.port to listen for client certificates, or mtls.proxies to believe a proxy')
  }
  return unsafe
}
