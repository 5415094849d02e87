import { expect, it } from 'vitest'
import { reasonOf } from './agent-error.ts'

it('tells why the server cannot be reached, and leaves what was said of others as it is', () => {
  const refused = 'connect ECONNREFUSED 127.0.0.1:9'
  const call = Object.assign(
    new Error(`14 UNAVAILABLE: No connection established. Last error: ${refused}. Resolution note: `),
    {
      code: 14,
    },
  )
  expect(reasonOf(call)).toMatch(
    /^nobody listens at 127\.0\.0\.1:9; is the server up, and is this the port of its node API/,
  )
  expect(reasonOf(Object.assign(new Error(refused), { code: 'ECONNREFUSED' }))).toBe(refused)
})
