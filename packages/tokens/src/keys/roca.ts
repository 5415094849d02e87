/** The primes whose subgroups give the keys of CVE-2017-15361 away, by the fingerprint of its discoverers. */
const primes = [3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157]

const subgroups = primes.map((prime) => ({ prime: BigInt(prime), members: powersOf(65537 % prime, prime) }))

/**
 * Whether an RSA modulus has the shape of those made by a faulty Infineon library (ROCA): they can be factored. Modulo
 * each of these primes such a modulus is a power of 65537; a sound one is by chance in fewer than 1 of 10^8 cases.
 */
export function hasRocaShape(modulus: Uint8Array): boolean {
  const value = BigInt(`0x${Buffer.from(modulus).toString('hex')}`)
  return subgroups.every(({ prime, members }) => members.has(Number(value % prime)))
}

function powersOf(base: number, prime: number): ReadonlySet<number> {
  const members = new Set<number>()
  for (let power = 1; !members.has(power); power = (power * base) % prime) members.add(power)
  return members
}
