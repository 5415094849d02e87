import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseProcessState, readCredentials, readProcessState } from './process-state.ts'

const after = (state: string, threads: number, startTime: string) =>
  `${state} 1 2 3 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 ${threads} 0 ${startTime} 1000 100\n`

describe('the state of a process', () => {
  it('is that of this one', () => {
    expect(readProcessState('/proc/self')).toEqual({ startTime: expect.stringMatching(/^\d+$/), ended: false })
    expect(readProcessState('/proc/4194305')).toBeUndefined()
  })

  it('is read whatever name the process gives itself', () => {
    fc.assert(
      fc.property(fc.string(), (name) => {
        const text = `7 (${name}) ${after('S', 1, '4711')}`
        expect(parseProcessState(text)).toEqual({ startTime: '4711', ended: false })
      }),
    )
    expect(parseProcessState(`7 (x) R 1 ) Z 0\n) ${after('S', 1, '4711')}`)).toEqual({
      startTime: '4711',
      ended: false,
    })
  })

  it('is ended for a zombie, not for one whose other threads still run', () => {
    expect(parseProcessState(`7 (x) ${after('Z', 1, '5')}`)?.ended).toBe(true)
    expect(parseProcessState(`7 (x) ${after('X', 0, '5')}`)?.ended).toBe(true)
    expect(parseProcessState(`7 (x) ${after('Z', 3, '5')}`)?.ended).toBe(false)
  })

  it.each(['', '7 (x)', '7 (x) S', `7 (x) ${after('S', 1, '-1')}`, `7 (x) ${after('S', 1, 'x')}`])(
    'is nothing for %j',
    (text) => {
      expect(parseProcessState(text)).toBeUndefined()
    },
  )

  it('has the effective user and group, and the other groups', () => {
    const groups = process.getgroups?.() ?? []
    const { uid, gid, groups: read } = readCredentials('/proc/self')
    expect([uid, gid]).toEqual([process.geteuid?.(), process.getegid?.()])
    expect(new Set([...read, gid])).toEqual(new Set([...groups, gid]))
  })
})
