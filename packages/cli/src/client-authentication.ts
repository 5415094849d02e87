import {
  importPrivateJwk,
  importPrivatePem,
  jwkThumbprint,
  type PrivateKey,
  signClientAssertion,
  signingAlgorithmOf,
} from '@countersign/tokens'
import { wrongUse } from './cli-error.ts'
import type { Connection } from './connection.ts'
import { readMetadata } from './metadata.ts'
import { reach } from './reach.ts'
import { readAnswer } from './server-answer.ts'

/** POSTs a form to one of the server's OAuth endpoints as the client of the connection. */
export async function postAsClient(
  path: string,
  form: Record<string, string>,
  connection: Connection,
): Promise<unknown> {
  const url = `${connection.url}${path}`
  const { headers, members } = await authenticate(connection)
  const body = new URLSearchParams({ ...form, ...members })
  return readAnswer(await reach(url, { method: 'POST', headers, body }), url)
}

async function authenticate({
  url,
  clientId,
  credential,
}: Connection): Promise<{ headers: Record<string, string>; members: Record<string, string> }> {
  if ('secret' in credential) {
    // RFC 6749 section 2.3.1: both are form-encoded before they are joined.
    const encoded = [clientId, credential.secret.reveal()].map((text) =>
      new URLSearchParams([['', text]]).toString().slice(1),
    )
    return { headers: { authorization: `Basic ${Buffer.from(encoded.join(':')).toString('base64')}` }, members: {} }
  }
  const { privateKey } = credential
  const key = 'pem' in privateKey ? importPrivatePem(privateKey.pem) : importPrivateJwk(privateKey.jwk)
  const { issuer } = await readMetadata(url)
  return {
    headers: {},
    members: {
      client_id: clientId,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: signAssertion(key, clientId, issuer),
    },
  }
}

function signAssertion({ key, publicJwk }: PrivateKey, clientId: string, issuer: string): string {
  const algorithm = signingAlgorithmOf(key)
  if (algorithm === undefined) throw wrongUse('the private key cannot sign assertions; use EC P-256, RSA or Ed25519')
  const kid = publicJwk.kid ?? jwkThumbprint(publicJwk)
  return signClientAssertion({ clientId, audience: issuer, key, kid, algorithm, now: Math.floor(Date.now() / 1000) })
}
