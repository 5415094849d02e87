import { parseJwtBundle } from '../bundles/bundle-document.ts'
import type { JWTBundlesResponse, JWTSVIDResponse } from '../protocol/workload-api.ts'
import { quoted, SpiffeError } from '../spiffe-error.ts'
import { type JwtSvid, parseJwtSvidUnverified } from '../svids/jwt-svid.ts'
import { readBundles, type TrustBundles, throwUnreadable } from './received-bundles.ts'

/**
 * `audience` is what was asked for, and must be in each of them.
 *
 * @throws SpiffeError `invalid_svid`; `no_identity` when there is none in it
 */
export function readJwtSvids(response: JWTSVIDResponse, audience: readonly string[]): JwtSvid[] {
  if (response.svids.length === 0) throw new SpiffeError('no_identity', 'the agent answered without any JWT-SVID')
  return response.svids.map((message) => {
    const svid = parseJwtSvidUnverified(message.svid, message.hint)
    if (svid.id.toString() !== message.spiffeId) {
      throw new SpiffeError('invalid_svid', `the agent says ${quoted(message.spiffeId)} of a JWT-SVID for ${svid.id}`)
    }
    if (!audience.every((one) => svid.audience.includes(one))) {
      throw new SpiffeError('invalid_svid', `the agent gave a JWT-SVID for others than ${audience.map(quoted).join()}`)
    }
    return svid
  })
}

/** @throws SpiffeError `invalid_bundle`, `invalid_spiffe_id` */
export function readJwtBundles(response: JWTBundlesResponse, onUnreadable = throwUnreadable): TrustBundles {
  return readBundles(response.bundles, parseJwtBundle, onUnreadable)
}
