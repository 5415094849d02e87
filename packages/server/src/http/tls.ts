import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import type { Server } from 'node:https'

const lookMilliseconds = 5_000

export interface TlsFiles {
  certFile: string
  keyFile: string
}

/** @throws Error with a sentence when a file is missing, is not PEM, or the key is not the certificate's */
export function readTls({ certFile, keyFile }: TlsFiles): { cert: string; key: string } {
  const cert = readFileSync(certFile, 'utf8')
  const key = readFileSync(keyFile, 'utf8')
  const certificate = new X509Certificate(cert)
  if (!certificate.checkPrivateKey(createPrivateKey(key))) {
    throw new Error(`the key in ${keyFile} does not belong to the certificate in ${certFile}`)
  }
  return { cert, key }
}

/**
 * Looks at the files every few seconds (mounted secrets change by a swapped link, which watchers miss) and gives new
 * connections the new certificate. A pair that does not fit, as while it is being written, is left for the next look.
 */
export function followTls(server: Server, files: TlsFiles, onReload: (error?: Error) => void): () => void {
  let seen = fingerprint(files)
  const timer = setInterval(() => {
    const now = fingerprint(files)
    if (now === seen) return
    try {
      server.setSecureContext({ ...readTls(files), minVersion: 'TLSv1.2' })
      seen = now
      onReload()
    } catch (error) {
      onReload(error as Error)
    }
  }, lookMilliseconds)
  timer.unref()
  return () => clearInterval(timer)
}

function fingerprint({ certFile, keyFile }: TlsFiles): string {
  return [certFile, keyFile]
    .map((file) => {
      const found = statSync(file, { throwIfNoEntry: false })
      return found ? `${found.ino}:${found.mtimeMs}:${found.size}` : 'none'
    })
    .join(' ')
}
