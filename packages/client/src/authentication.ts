import {
  importPrivateJwk,
  importPrivatePem,
  jwkThumbprint,
  type Secret,
  type SigningAlgorithm,
  signClientAssertion,
  signingAlgorithmOf,
} from '@countersign/tokens'
import { ClientError } from './client-error.ts'

export type AuthenticationMethod =
  | 'client_secret_basic'
  | 'client_secret_post'
  | 'private_key_jwt'
  | 'tls_client_auth'
  | 'self_signed_tls_client_auth'
  | 'spiffe_x509'
  | 'spiffe_jwt'

/** Gives JWT-SVIDs: `createJwtSource()` of @countersign/spiffe/workload-api, or anything of its shape. */
export interface JwtSvidSource {
  fetch(audience: string): Promise<{ readonly token: string }>
}

/** The key of private_key_jwt: a private JWK or a PEM. `kid` defaults to the JWK's own, else to its thumbprint. */
export interface PrivateKeyOption {
  jwk?: object
  pem?: string
  kid?: string
  algorithm?: SigningAlgorithm
}

/** One way in which the client can prove itself to the token endpoint. */
export interface Authentication {
  /** What this attempt adds to the request. Called once an attempt, so that an assertion is never sent twice. */
  prove(nowSeconds: number): Proof | Promise<Proof>
  /** Takes everything secret out of a text that came from outside. */
  redact(text: string): string
}

export interface Proof {
  headers: Record<string, string>
  form: Record<string, string>
}

/** RFC 6749 section 2.3.1: both halves are form-encoded before they are joined. */
export function clientSecretBasic(clientId: string, secret: Secret): Authentication {
  return {
    prove: () => ({
      headers: { authorization: `Basic ${basicCredentials(clientId, secret)}` },
      form: {},
    }),
    redact: redactorOf(clientId, secret),
  }
}

/** RFC 6749 section 2.3.1, in the body: for servers that take no Basic. */
export function clientSecretPost(clientId: string, secret: Secret): Authentication {
  return {
    prove: () => ({ headers: {}, form: { client_id: clientId, client_secret: secret.reveal() } }),
    redact: redactorOf(clientId, secret),
  }
}

/**
 * RFC 7523 as updated: the assertion's audience is the issuer as configured, whatever metadata says,
 * so that no other server can have one made out for itself.
 * @throws ClientError `invalid_configuration`
 */
export function privateKeyJwt(clientId: string, issuer: string, option: PrivateKeyOption): Authentication {
  const { key, publicJwk } = importKey(option)
  const algorithm = option.algorithm ?? signingAlgorithmOf(key)
  if (algorithm === undefined) throw unusable(unreadableKey)
  const kid = option.kid ?? publicJwk.kid ?? jwkThumbprint(publicJwk)
  const assertion = (now: number) => signClientAssertion({ clientId, audience: issuer, key, kid, algorithm, now })
  try {
    assertion(0)
  } catch {
    throw unusable(`privateKey cannot sign ${algorithm}; leave privateKey.algorithm out to use the key's own`)
  }
  return {
    prove: (nowSeconds) => ({
      headers: {},
      form: {
        client_id: clientId,
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        client_assertion: assertion(nowSeconds),
      },
    }),
    redact: redactTokens,
  }
}

/**
 * The workload's JWT-SVID as assertion (draft-ietf-oauth-spiffe-client-auth section 3.1), made out for the issuer as configured and for
 * nobody else; the source renews it.
 */
export function spiffeJwt(clientId: string, issuer: string, source: JwtSvidSource): Authentication {
  return {
    async prove() {
      const token = await fetchSvid(source, issuer)
      return {
        headers: {},
        form: {
          client_id: clientId,
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe',
          client_assertion: token,
        },
      }
    },
    redact: redactTokens,
  }
}

/** RFC 8705 section 2: the connection's certificate is the proof, and the form only says whose it should be. */
export function byCertificate(clientId: string): Authentication {
  return { prove: () => ({ headers: {}, form: { client_id: clientId } }), redact: redactTokens }
}

async function fetchSvid(source: JwtSvidSource, issuer: string): Promise<string> {
  try {
    return (await source.fetch(issuer)).token
  } catch (error) {
    const { code } = error as { code?: unknown }
    // The text of a source that is not ours may quote anything.
    const why = typeof code === 'string' && /^[a-z_]{1,40}$/.test(code) ? ` (${code})` : ''
    throw new ClientError(
      code === 'no_identity' ? 'invalid_client' : 'unavailable',
      `the Workload API gives no JWT-SVID${why}; check that its socket is there and that an entry matches this process`,
    )
  }
}

function importKey({ jwk, pem }: PrivateKeyOption) {
  if ((jwk === undefined) === (pem === undefined)) throw unusable('privateKey needs exactly one of jwk and pem')
  try {
    return pem === undefined ? importPrivateJwk(jwk) : importPrivatePem(pem)
  } catch {
    // What a key parser throws may quote its input.
    throw unusable(unreadableKey)
  }
}

const unreadableKey =
  'privateKey cannot be used; give a private JWK or an unencrypted PKCS#8 PEM of an EC P-256, RSA or Ed25519 key'

function basicCredentials(clientId: string, secret: Secret): string {
  return Buffer.from(`${formEncode(clientId)}:${formEncode(secret.reveal())}`).toString('base64')
}

function formEncode(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1)
}

function redactorOf(clientId: string, secret: Secret): (text: string) => string {
  return (text) => {
    const forms = [secret.reveal(), formEncode(secret.reveal()), basicCredentials(clientId, secret)]
    return redactTokens(forms.reduce((left, form) => left.replaceAll(form, '[redacted]'), text))
  }
}

/** Whatever looks like a JWT: an assertion, or a token. */
function redactTokens(text: string): string {
  return text.replace(/eyJ[\w-]*(\.[\w-]*)*/g, '[redacted]')
}

function unusable(message: string): ClientError {
  return new ClientError('invalid_configuration', message)
}
