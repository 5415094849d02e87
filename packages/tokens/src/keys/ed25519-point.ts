const prime = 2n ** 255n - 19n
const curveConstant = mod(-121665n * power(121666n, prime - 2n))
const squareRootOfMinusOne = power(2n, (prime - 1n) / 4n)

/**
 * What an encoded Ed25519 public key is worth (RFC 8032 section 5.1.3): `usable`, `not_a_point`, or `small_order`.
 * node:crypto takes all three, and with a key of small order anybody can make signatures that verify.
 */
export function judgeEd25519Point(encoded: Uint8Array): 'usable' | 'not_a_point' | 'small_order' {
  const sign = encoded[31]! >> 7
  const y = littleEndian(encoded) & (2n ** 255n - 1n)
  // Other spellings of the small-order points have y at or above the prime; no honest key has.
  if (y >= prime) return 'not_a_point'
  const x = recoverX(y, sign)
  if (x === undefined) return 'not_a_point'
  return isIdentity(double(double(double([x, y, 1n])))) ? 'small_order' : 'usable'
}

function recoverX(y: bigint, sign: number): bigint | undefined {
  const numerator = mod(y * y - 1n)
  const denominator = mod(curveConstant * y * y + 1n)
  const square = mod(numerator * power(denominator, prime - 2n))
  let x = power(square, (prime + 3n) / 8n)
  if (mod(x * x) !== square) x = mod(x * squareRootOfMinusOne)
  if (mod(x * x) !== square) return undefined
  if (x === 0n && sign === 1) return undefined
  return Number(x & 1n) === sign ? x : prime - x
}

/** A point as (X : Y : Z) with x = X/Z and y = Y/Z, which spares the divisions. */
type Point = readonly [x: bigint, y: bigint, z: bigint]

function double([x, y, z]: Point): Point {
  const sum = mod((x + y) * (x + y))
  const [xx, yy] = [mod(x * x), mod(y * y)]
  const difference = mod(yy - xx)
  const rest = mod(difference - 2n * z * z)
  return [mod((sum - xx - yy) * rest), mod(difference * -(xx + yy)), mod(difference * rest)]
}

function isIdentity([x, y, z]: Point): boolean {
  return x === 0n && y === z
}

function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`)
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n
  let square = mod(base)
  for (let left = exponent; left > 0n; left >>= 1n) {
    if (left & 1n) result = mod(result * square)
    square = mod(square * square)
  }
  return result
}

function mod(value: bigint): bigint {
  const rest = value % prime
  return rest < 0n ? rest + prime : rest
}
