import { serviceTokenHeaders } from '@countersign/tokens'
import { type CarrierFault, type RequestLike, readHeader } from '../bearer-token.ts'

/** The one service token of a request, in `x-m2m-token` or `m2m-token`; undefined when there is none. */
export function findServiceToken(request: RequestLike): string | undefined | CarrierFault {
  const { headers, rawHeaders } = request
  if (rawHeaders !== undefined && countTokens(rawHeaders) > 1) return severalTokens
  const first = readHeader(headers, serviceTokenHeaders[0])
  const second = readHeader(headers, serviceTokenHeaders[1])
  if (first !== undefined && second !== undefined) return severalTokens
  const token = first ?? second
  // Several of one name were joined by a comma, which no token has.
  if (token === undefined || (typeof token === 'string' && !token.includes(','))) return token
  return severalTokens
}

function countTokens(rawHeaders: readonly string[]): number {
  let count = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!
    if (isCarrier(name)) count++
  }
  return count
}

function isCarrier(name: string): boolean {
  return serviceTokenHeaders.some((header) => name.length === header.length && name.toLowerCase() === header)
}

const severalTokens: CarrierFault = {
  code: 'InvalidM2MToken',
  reason: 'malformed',
  message: 'The request carries more than one service token; send exactly one.',
}
