import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface CertificateFiles {
  readonly cert: string
  readonly key: string
}

/** A small CA of openssl, as many a company has one. Everything is in files. */
export interface OpensslCa {
  /** PEM */
  readonly caFile: string
  issue(subject: string, alternativeNames: string): CertificateFiles
  selfSigned(subject: string): CertificateFiles
  remove(): void
}

export function createOpensslCa(): OpensslCa {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-openssl-'))
  const file = (name: string) => join(folder, name)
  const openssl = (...words: string[]) => void execFileSync('openssl', words, { stdio: 'pipe' })
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const ca = { cert: file('ca.pem'), key: file('ca.key') }
  openssl(
    'req',
    '-x509',
    ...newKey,
    '-days',
    '2',
    '-subj',
    '/O=Example/CN=Example CA',
    '-keyout',
    ca.key,
    '-out',
    ca.cert,
  )
  let count = 0
  return {
    caFile: ca.cert,
    issue(subject, alternativeNames) {
      const name = `issued-${++count}`
      const files = { cert: file(`${name}.pem`), key: file(`${name}.key`) }
      writeFileSync(file(`${name}.ext`), `subjectAltName=${alternativeNames}\nextendedKeyUsage=serverAuth,clientAuth\n`)
      openssl('req', ...newKey, '-subj', subject, '-keyout', files.key, '-out', file(`${name}.csr`))
      openssl(
        ...['x509', '-req', '-in', file(`${name}.csr`), '-CA', ca.cert, '-CAkey', ca.key, '-CAcreateserial'],
        ...['-days', '1', '-extfile', file(`${name}.ext`), '-out', files.cert],
      )
      return files
    },
    selfSigned(subject) {
      const name = `own-${++count}`
      const files = { cert: file(`${name}.pem`), key: file(`${name}.key`) }
      openssl('req', '-x509', ...newKey, '-days', '1', '-subj', subject, '-keyout', files.key, '-out', files.cert)
      return files
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}
