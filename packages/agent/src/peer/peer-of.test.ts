import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { peerOf } from './peer-of.ts'

const folder = mkdtempSync(join(tmpdir(), 'peer-of-'))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('peerOf', () => {
  it('names this very process at the other end', async () => {
    const path = join(folder, 'a.sock')
    const accepted = Promise.withResolvers<net.Socket>()
    const server = net.createServer((socket) => accepted.resolve(socket)).listen(path)
    await new Promise((resolve) => server.once('listening', resolve))
    chmodSync(path, 0o777)
    const client = net.connect(path)
    const socket = await accepted.promise
    const peer = peerOf(socket)
    expect(peer).toMatchObject({ pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() })
    expect(peer.isAlive()).toBe(true)
    client.destroy()
    server.close()
  })
})
