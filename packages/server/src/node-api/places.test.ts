import { expect, it } from 'vitest'
import { Places } from './places.ts'

function holder(name: string, gone: string[] = []) {
  return { destroy: () => void gone.push(name) }
}

it('gives one key only so many, and takes back what is given back once', () => {
  const places = new Places(10, 2)
  const [first, second] = [places.take('a', holder('a1')), places.take('a', holder('a2'))]
  expect(second).toBeDefined()
  expect(places.take('a', holder('a3'))).toBeUndefined()
  first?.()
  first?.()
  expect(places.take('a', holder('a4'))).toBeDefined()
  expect(places.take('a', holder('a5'))).toBeUndefined()
})

it('takes the oldest place of who holds most for who holds less, until they have the same', () => {
  const gone: string[] = []
  const places = new Places(6, 6)
  for (const name of ['a1', 'a2', 'a3', 'a4', 'b1', 'b2']) places.take(name.slice(0, 1), holder(name, gone))
  expect(places.take('a', holder('a5', gone))).toBeUndefined()
  expect(places.take('b', holder('b3', gone))).toBeDefined()
  expect(places.take('b', holder('b4', gone))).toBeUndefined()
  expect(places.take('c', holder('c1', gone))).toBeDefined()
  expect(gone).toEqual(['a1', 'a2'])
})

it('counts whom it sent away no more, also when he gives his place back afterwards', () => {
  const places = new Places(2, 2)
  const releases = [places.take('a', holder('a1')), places.take('a', holder('a2'))]
  expect(places.take('b', holder('b1'))).toBeDefined()
  releases[0]?.()
  expect(places.take('c', holder('c1'))).toBeUndefined()
  releases[1]?.()
  expect(places.take('c', holder('c1'))).toBeDefined()
  expect(places.take('c', holder('c2'))).toBeUndefined()
})
