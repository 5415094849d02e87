/** One thing that was looked at in a token. */
export interface Finding {
  check: 'format' | 'signature' | 'type' | 'issuer' | 'audience' | 'time' | 'claims' | 'revocation'
  /** `unknown`: it could not be checked, and does not count against the token */
  verdict: 'good' | 'refused' | 'unknown'
  /** A sentence */
  says: string
}
