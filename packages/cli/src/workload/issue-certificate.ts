import { generateKeyPairSync } from 'node:crypto'
import { createCertificateRequest, toPem } from '@countersign/spiffe'
import { withAdminApi } from '../admin-api.ts'
import type { IssueOptions } from '../commands/cert.ts'
import { formatDuration } from '../duration.ts'
import { note, printJson, printResource } from '../output.ts'
import type { IssuedCertificate } from '../resources.ts'
import { prepareFolder, runReloadHook, writeCertificateFiles } from './certificate-files.ts'
import { untilSignal } from './until-signal.ts'

const names = { certificate: 'cert.pem', privateKey: 'key.pem', bundle: 'ca.pem' }
const retrySeconds = 30

/** Issues a certificate to files, once or until a signal ends it. The key is made here and never leaves. */
export async function issueCertificate(options: IssueOptions): Promise<void> {
  // Before anything is issued that could not be kept.
  await prepareFolder(options.out)
  let issued = await issueOnce(options)
  print(issued, options)
  if (!options.renew) return
  const signal = untilSignal()
  note(
    `Renewing it at half of its life, every ${formatDuration(Math.max(1, halfLifeSeconds(issued)))}; Ctrl-C ends that.`,
  )
  let waitSeconds = halfLifeSeconds(issued)
  while (await signal.wait(waitSeconds * 1000)) {
    try {
      issued = await issueOnce(options)
      waitSeconds = halfLifeSeconds(issued)
      print(issued, options)
      const fault = options.reload === undefined ? undefined : await runReloadHook(options.reload)
      if (fault !== undefined) note(`${fault}; the new files are in place`)
    } catch (error) {
      waitSeconds = Math.min(retrySeconds, Math.max(1, waitSeconds / 2))
      note(`not renewed: ${(error as Error).message}; the certificate is good until ${issued.expires_at}, trying again`)
    }
  }
}

async function issueOnce(options: IssueOptions): Promise<IssuedCertificate> {
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { commonName, dnsName, ip, usage, ttl = 86_400 } = options
  const request = createCertificateRequest({ key, commonName })
  const issued = await withAdminApi(options, (admin) =>
    admin.send<IssuedCertificate>('POST', '/certificates', {
      csr: toPem(request, 'CERTIFICATE REQUEST'),
      usage,
      ttl,
      ...(dnsName && { dns_names: dnsName }),
      ...(ip && { ip_addresses: ip }),
      ...(commonName && { common_name: commonName }),
    }),
  )
  await writeCertificateFiles(options.out, names, {
    certificate: issued.certificate,
    privateKey: key.export({ type: 'pkcs8', format: 'pem' }) as string,
    bundle: issued.ca_bundle,
  })
  return issued
}

/** Of a certificate that was issued just now. */
function halfLifeSeconds({ expires_at }: IssuedCertificate): number {
  return Math.max(1, (Date.parse(expires_at) - Date.now()) / 2000)
}

function print(issued: IssuedCertificate, options: IssueOptions): void {
  if (options.json) {
    printJson({ serial_number: issued.serial_number, expires_at: issued.expires_at, folder: options.out })
    return
  }
  printResource(issued, options, [
    ['certificate', `${options.out}/${names.certificate}`],
    ['key', `${options.out}/${names.privateKey}`],
    ['CAs', `${options.out}/${names.bundle}`],
    ['serial', issued.serial_number],
    ['good until', issued.expires_at],
  ])
}
