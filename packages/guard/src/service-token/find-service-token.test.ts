import { expect, it } from 'vitest'
import { findServiceToken } from './find-service-token.ts'

const malformed = expect.objectContaining({ code: 'InvalidM2MToken', reason: 'malformed' })

it('finds the one token, in either header', () => {
  for (const name of ['x-m2m-token', 'm2m-token']) {
    expect(findServiceToken({ headers: { [name]: 'a.b.c' } })).toBe('a.b.c')
    expect(findServiceToken({ headers: { [name]: 'a.b.c' }, rawHeaders: [name.toUpperCase(), 'a.b.c'] })).toBe('a.b.c')
    expect(findServiceToken({ headers: new Headers({ [name]: 'a.b.c' }) })).toBe('a.b.c')
  }
  expect(findServiceToken({ headers: {} })).toBeUndefined()
  expect(findServiceToken({ headers: { authorization: 'Bearer a.b.c' }, rawHeaders: ['Host', 'x'] })).toBeUndefined()
})

it('says so where there are more, whatever was made of them on the way', () => {
  const one = { 'x-m2m-token': 'a.b.c' }
  expect(findServiceToken({ headers: one, rawHeaders: ['X-M2M-Token', 'a.b.c', 'x-m2m-token', 'd'] })).toEqual(
    malformed,
  )
  expect(findServiceToken({ headers: one, rawHeaders: ['x-m2m-token', 'a.b.c', 'M2M-TOKEN', 'd'] })).toEqual(malformed)
  expect(findServiceToken({ headers: { ...one, 'm2m-token': 'a.b.c' } })).toEqual(malformed)
  expect(findServiceToken({ headers: { 'x-m2m-token': 'a.b.c, d' } })).toEqual(malformed)
  expect(findServiceToken({ headers: { 'x-m2m-token': ['a.b.c', 'd'] } })).toEqual(malformed)
  expect(findServiceToken({ headers: { 'x-m2m-token': ['a.b.c'] } })).toEqual(malformed)
})

it('takes an empty header for a token that is wrong, not for none', () => {
  expect(findServiceToken({ headers: { 'x-m2m-token': '' } })).toBe('')
  expect(findServiceToken({ headers: new Headers({ 'm2m-token': '' }) })).toBe('')
})
