import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Callers, ended, startCallers } from '../peer/callers.fixture.ts'
import { peerOf } from '../peer/peer-of.ts'
import { createProcessWatch, type ProcessWatch } from './process-watch.ts'

describe('createProcessWatch', () => {
  let callers: Callers
  let watch: ProcessWatch
  beforeEach(async () => {
    callers = await startCallers()
    watch = createProcessWatch({ pollMilliseconds: 10 })
  })
  afterEach(async () => {
    watch.close()
    await callers.close()
  })

  it('tells every listener once that a process has ended, not that its connection closed', async () => {
    const { child, socket } = await callers.connected()
    const peer = peerOf(socket)
    const told: string[] = []
    watch.watch(peer, () => told.push('first'))
    watch.watch(peer, () => told.push('second'))
    const forget = watch.watch(peer, () => told.push('forgotten'))
    forget()
    forget()
    socket.destroy()
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(told).toEqual([])
    child.kill('SIGKILL')
    await expect.poll(() => told).toEqual(['first', 'second'])
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(told).toHaveLength(2)
  })

  it('tells it also of one that ended before it was watched', async () => {
    const { child, socket } = await callers.connected()
    const peer = peerOf(socket)
    child.kill('SIGKILL')
    await ended(child)
    await new Promise<void>((resolve) => watch.watch(peer, resolve))
  })

  it('tells the others when one listener fails', async () => {
    const { child, socket } = await callers.connected()
    const peer = peerOf(socket)
    const failures: unknown[] = []
    watch.close()
    watch = createProcessWatch({ pollMilliseconds: 10, onError: (error) => failures.push(error) })
    const second = new Promise<void>((resolve) => {
      watch.watch(peer, () => {
        throw new Error('first')
      })
      watch.watch(peer, resolve)
    })
    child.kill('SIGKILL')
    await second
    expect(failures).toEqual([new Error('first')])
  })
})
