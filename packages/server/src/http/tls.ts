import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'

export interface TlsFiles {
  certFile: string
  keyFile: string
}

/** @throws Error with a sentence when a file is missing, is not PEM, or the key is not the certificate's */
export function readTls({ certFile, keyFile }: TlsFiles): { cert: string; key: string } {
  const cert = readFileSync(certFile, 'utf8')
  const key = readFileSync(keyFile, 'utf8')
  const certificate = orSay(() => new X509Certificate(cert), `${certFile} holds no certificate in PEM`)
  const privateKey = orSay(() => createPrivateKey(key), `${keyFile} holds no unencrypted private key in PEM`)
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new Error(`the key in ${keyFile} does not belong to the certificate in ${certFile}`)
  }
  return { cert, key }
}

function orSay<Result>(read: () => Result, sentence: string): Result {
  try {
    return read()
  } catch (error) {
    throw new Error(sentence, { cause: error })
  }
}

/**
 * Looks at the files every few seconds (mounted secrets change by a swapped link, which watchers miss) and tells the new
 * pair. One that does not fit, as while it is being written, is told once, and not used until the files change again.
 * @returns what ends it
 */
export function followTls(
  files: TlsFiles,
  onRenewed: (pair: { cert: string; key: string }) => void,
  onError: (error: Error) => void,
  lookMilliseconds = 5_000,
): () => void {
  let seen = versionOf(files)
  const timer = setInterval(() => {
    const now = versionOf(files)
    if (now === seen) return
    seen = now
    try {
      onRenewed(readTls(files))
    } catch (error) {
      onError(error as Error)
    }
  }, lookMilliseconds)
  timer.unref()
  return () => clearInterval(timer)
}

function versionOf({ certFile, keyFile }: TlsFiles): string {
  return `${fileVersion(certFile)} ${fileVersion(keyFile)}`
}

/** Another text once the file has changed, or is gone. */
export function fileVersion(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false })
  return found ? `${found.ino}:${found.mtimeMs}:${found.size}` : 'none'
}
