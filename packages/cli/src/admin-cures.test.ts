import { describe, expect, it } from 'vitest'
import { withCure } from './admin-cures.ts'
import { ServerRefusal } from './server-answer.ts'

describe('a refusal of the admin API', () => {
  const told = (path: string, status: number, reason: string) =>
    withCure(path, 'admin', Promise.reject(new ServerRefusal('no', status, reason))).catch((error) => error.message)

  it('names the command that helps', async () => {
    expect(await told('/entries', 409, 'conflict')).toBe('no; see it with: countersign workload list --spiffe-id ID')
    expect(await told('/nodes/a', 404, 'not_found')).toBe('no; see what there is with: countersign node list')
  })

  it('names none where the server has no trust domain: it says what to set', async () => {
    expect(await told('/entries', 409, 'no_trust_domain')).toBe('no')
  })
})
