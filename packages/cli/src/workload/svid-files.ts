import { formatPemCertificates } from '@countersign/spiffe'
import type { X509Context } from '@countersign/spiffe/workload-api'
import { CliError } from '../cli-error.ts'
import { writeCertificateFiles } from './certificate-files.ts'

const names = { certificate: 'svid.pem', privateKey: 'svid.key', bundle: 'bundle.pem' }

/** The first SVID and the bundle of its own trust domain, as files. */
export async function writeSvidFiles(folder: string, { svids, bundles }: X509Context): Promise<void> {
  const [svid] = svids
  if (svid === undefined) throw new CliError('there is no SVID to write')
  const authorities = bundles.get(svid.id.trustDomain)?.x509Authorities ?? []
  await writeCertificateFiles(folder, names, {
    certificate: formatPemCertificates(svid.certificates),
    privateKey: svid.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    bundle: formatPemCertificates(authorities),
  })
}
