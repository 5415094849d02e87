import { describe, expect, it } from 'vitest'
import { connectionFailure } from './connection-failure.ts'

const wrapped = (why: string) => `14 UNAVAILABLE: No connection established. Last error: ${why}. Resolution note: `

describe('why there is no connection to the server', () => {
  it.each([
    ['Error: connect ECONNREFUSED 127.0.0.1:9999', /^nobody listens at 127\.0\.0\.1:9999; is the server up/],
    [
      'Error: 40:error:0A00010B:SSL routines:tls_validate:wrong version number:../x.c:77:\n',
      /^what .* no TLS; name the port/,
    ],
    [
      'Error: 40:error:0A000460:SSL routines:x:tlsv1 alert no application protocol:../x.c:9:\n',
      /^what .* no gRPC; name/,
    ],
    [
      'Error: self-signed certificate in certificate chain',
      /^no authority of the bundle vouches .* get its bundle anew .* empty data directory$/,
    ],
    [
      'Error: certificate is not yet valid',
      /^the server's certificate is not yet valid, by this machine's clock; is the/,
    ],
    ['Failed to connect (2026-11-23T14:46:22.898Z)', /^the server ends the connection at once: .* does not trust/],
    ['SpiffeError: the server at a:1 is b', /^the server at a:1 is b$/],
  ])('is told without the words around it: %j', (why, told) => {
    expect(connectionFailure(wrapped(why))).toMatch(told)
  })

  it('names the host that has no address', () => {
    const said = '14 UNAVAILABLE: Name resolution failed for target dns:nosuch.invalid:8081'
    expect(connectionFailure(said)).toBe("no address is known for nosuch.invalid:8081; is the server's name right?")
  })

  it('is not told twice when it is told on', () => {
    const told = connectionFailure(wrapped('Error: self-signed certificate in certificate chain'))
    expect(connectionFailure(`attestation by join_token failed: ${told}`)).toBe(
      `attestation by join_token failed: ${told}`,
    )
  })

  it('leaves what a server says as it is', () => {
    expect(connectionFailure('9 FAILED_PRECONDITION: not in this way')).toBe('9 FAILED_PRECONDITION: not in this way')
  })
})
