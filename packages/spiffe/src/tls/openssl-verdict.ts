import { SpiffeError } from '../spiffe-error.ts'

/** What OpenSSL found wrong with a peer's certificate, in our words; undefined where `code` is no such verdict. */
export function opensslVerdict(code: string | undefined, who: string, cause: unknown): SpiffeError | undefined {
  if (code === 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE') {
    return new SpiffeError('untrusted_svid', `${who} has sent no certificate`, { cause })
  }
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    const when = code === 'CERT_HAS_EXPIRED' ? 'has expired' : 'is not valid yet'
    return new SpiffeError('expired_svid', `the certificate of ${who} ${when}; compare the clocks`, { cause })
  }
  if (code === undefined || !verdicts.test(code)) return undefined
  return new SpiffeError('untrusted_svid', `no trust bundle vouches for the certificate of ${who}: ${code}`, { cause })
}

/** X509_V_ERR_..., as Node names them. */
const verdicts =
  /^(CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|INVALID_(CA|PURPOSE)|PATH_LENGTH_|CRL_|ERROR_IN_CERT|UNSPECIFIED)/
