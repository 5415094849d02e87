import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'

const prefix = 'cs_secret_'
const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const secretDigits = 43
const checksumDigits = 6
const wellFormed = /^cs_secret_[0-9A-Za-z]{49}$/

/**
 * A new client secret: `cs_secret_`, 256 random bits as 43 base62 digits, and 6 base62 digits of the CRC-32 of all that
 * precedes. Only characters that need no escaping anywhere. `random` gives that many unpredictable bytes.
 */
export function createClientSecret(random: (size: number) => Buffer = randomBytes): string {
  const body = prefix + base62(BigInt(`0x${random(32).toString('hex')}`), secretDigits)
  return body + checksum(body)
}

/** Whether the text has the form and checksum of a client secret: tells typos and leaks without a look-up. */
export function isWellFormedClientSecret(text: string): boolean {
  return wellFormed.test(text) && checksum(text.slice(0, -checksumDigits)) === text.slice(-checksumDigits)
}

function checksum(body: string): string {
  return base62(BigInt(crc32(body)), checksumDigits)
}

function base62(value: bigint, length: number): string {
  let text = ''
  for (let left = value; text.length < length; left /= 62n) text = digits[Number(left % 62n)] + text
  return text
}
