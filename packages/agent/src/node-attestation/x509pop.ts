import { constants, createPrivateKey, type KeyObject, randomBytes, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { parsePemCertificates } from '@countersign/spiffe'
import { AgentError, reasonOf } from '../agent-error.ts'
import type { NodeAttestor } from './node-attestor.ts'

const nonceBytes = 32

/**
 * Possession of the key of a certificate that the server's configured CA issued. The files are read at each
 * attestation, so that whoever renews them needs to tell nobody.
 */
export function x509pop(files: { certificateFile: string; keyFile: string }): NodeAttestor {
  const load = () => {
    try {
      const certificates = parsePemCertificates(readFileSync(files.certificateFile, 'utf8'))
      if (certificates.length === 0) throw new Error(`${files.certificateFile} holds no certificate`)
      return { certificates, key: createPrivateKey(readFileSync(files.keyFile)) }
    } catch (error) {
      throw new AgentError('invalid_configuration', `x509pop cannot use its certificate and key: ${reasonOf(error)}`)
    }
  }
  load()
  return {
    type: 'x509pop',
    reusable: true,
    payload: async () =>
      Buffer.from(JSON.stringify({ certificates: load().certificates.map(({ der }) => base64(der)) })),
    respond: async (challenge) => Buffer.from(JSON.stringify(answer(challenge, load().key))),
  }
}

/** Both sides' nonces go into what is signed, so that neither can make the other sign a text of its choice. */
function answer(challenge: Buffer, key: KeyObject): object {
  const nonce = randomBytes(nonceBytes)
  const signed = Buffer.concat([challengeNonce(challenge, key), nonce])
  if (key.asymmetricKeyType === 'rsa') {
    const signature = sign('sha256', signed, { key, padding: constants.RSA_PKCS1_PSS_PADDING })
    return { rsa_signature: { nonce: base64(nonce), signature: base64(signature) }, ecdsa_signature: null }
  }
  const signature = sign('sha256', signed, { key, dsaEncoding: 'ieee-p1363' })
  const half = signature.length / 2
  const [r, s] = [signature.subarray(0, half), signature.subarray(half)]
  return { rsa_signature: null, ecdsa_signature: { nonce: base64(nonce), r: base64(r), s: base64(s) } }
}

function challengeNonce(challenge: Buffer, key: KeyObject): Buffer {
  const kind = key.asymmetricKeyType === 'rsa' ? 'rsa_signature' : 'ecdsa_signature'
  let nonce: unknown
  try {
    nonce = JSON.parse(challenge.toString('utf8'))?.[kind]?.nonce
  } catch {}
  const bytes = Buffer.from(typeof nonce === 'string' ? nonce : '', 'base64')
  if (bytes.length !== nonceBytes)
    throw new AgentError('invalid_answer', `the server's x509pop challenge has no ${kind} nonce of ${nonceBytes} bytes`)
  return bytes
}

function base64(bytes: Buffer): string {
  return bytes.toString('base64')
}
