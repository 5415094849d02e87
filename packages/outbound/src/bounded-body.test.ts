import { expect, it } from 'vitest'
import { boundedBody } from './bounded-body.ts'

const tooLarge = () => new Error('too large')

it('gives all bytes of a body, up to the limit, and none where there is no body', async () => {
  const { body } = new Response('four')
  expect((await boundedBody(body, 4, tooLarge)).toString()).toBe('four')
  expect(await boundedBody(null, 4, tooLarge)).toHaveLength(0)
})

it('reads no further once there are more bytes than the limit', async () => {
  let sent = 0
  let ended = false
  async function* endless() {
    try {
      for (; ; sent += 3) yield Buffer.alloc(3)
    } finally {
      ended = true
    }
  }
  await expect(boundedBody(endless(), 10, tooLarge)).rejects.toThrow('too large')
  expect([sent, ended]).toEqual([9, true])
})
