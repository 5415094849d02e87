import { generateKeyPairSync, sign, verify } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromDer, toDer } from './ecdsa-signature.ts'

const curves = [
  ['P-256', 32, 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'],
  ['P-384', 48, `${'f'.repeat(48)}c7634d81f4372ddf581a0db248b0a77aecec196accc52973`],
  ['P-521', 66, `01${'f'.repeat(64)}fa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409`],
] as const

describe.each(curves)('ECDSA signatures on %s', (curve, size, orderHex) => {
  const order = BigInt(`0x${orderHex}`)
  const number = (value: bigint) => Buffer.from(value.toString(16).padStart(2 * size, '0'), 'hex')
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: curve })

  it('come out of DER as r||s, and go back in as the same DER', () => {
    for (let round = 0; round < 100; round += 1) {
      const message = Buffer.from(`message ${round}`)
      const der = sign('sha256', message, privateKey)
      const raw = fromDer(der, curve)
      expect(raw.length).toBe(2 * size)
      expect(verify('sha256', message, { key: publicKey, dsaEncoding: 'ieee-p1363' }, raw)).toBe(true)
      expect(toDer(raw, curve)).toEqual(der)
    }
  })

  it('keep numbers of every length', () => {
    const half = fc
      .bigInt({ min: 1n, max: order - 1n })
      .chain((value) => fc.nat(8 * size - 1).map((shift) => value >> BigInt(shift) || 1n))
    fc.assert(
      fc.property(half, half, (r, s) => {
        const raw = Buffer.concat([number(r), number(s)])
        const der = toDer(raw, curve)!
        expect(fromDer(der, curve)).toEqual(raw)
        expect(der.length).toBeLessThanOrEqual(2 * size + 9)
      }),
    )
  })

  it('are refused with a zero or a number not below the group order (CVE-2022-21449)', () => {
    const outside = [0n, order, order + 1n]
    for (const bad of outside) {
      expect(toDer(Buffer.concat([number(bad), number(1n)]), curve)).toBeUndefined()
      expect(toDer(Buffer.concat([number(1n), number(bad)]), curve)).toBeUndefined()
      expect(toDer(Buffer.concat([number(bad), number(bad)]), curve)).toBeUndefined()
    }
    expect(toDer(Buffer.concat([number(order - 1n), number(1n)]), curve)).toBeDefined()
  })

  it('are refused as DER, cut short or lengthened', () => {
    const der = sign('sha256', Buffer.from('message'), privateKey)
    const raw = fromDer(der, curve)
    for (const bytes of [
      der,
      raw.subarray(1),
      raw.subarray(0, -1),
      Buffer.concat([raw, Buffer.alloc(2)]),
      Buffer.alloc(0),
    ]) {
      if (bytes.length !== 2 * size) expect(toDer(bytes, curve)).toBeUndefined()
    }
  })
})
