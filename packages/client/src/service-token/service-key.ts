import { importPrivatePem, jwkThumbprint, type PrivateKey, signingAlgorithmOf, TokenError } from '@countersign/tokens'
import { ClientError } from '../client-error.ts'

/**
 * The key pair of a service, named by its thumbprint and ready to be published.
 * @param source how messages call the place that it came from
 * @throws ClientError `invalid_configuration`, with nothing of the text in it
 */
export function readServiceKey(pem: string, source: string): PrivateKey {
  const { key, publicJwk } = importKey(pem, source)
  if (signingAlgorithmOf(key) !== 'EdDSA') {
    throw unusable(`${source} holds a key of another kind; services sign with Ed25519`)
  }
  const kid = jwkThumbprint(publicJwk)
  return { key, publicJwk: Object.freeze({ ...publicJwk, kid, alg: 'EdDSA', use: 'sig' }) }
}

function importKey(pem: string, source: string): PrivateKey {
  try {
    return importPrivatePem(pem)
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
    throw unusable(`${source} holds no private key that can be read; it must be an unencrypted PKCS#8 PEM`)
  }
}

function unusable(message: string): ClientError {
  return new ClientError('invalid_configuration', `${message}; make one with: countersign service keygen`)
}
