import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { parsePemCertificates } from '@countersign/spiffe'
import { BundleService } from '@countersign/spiffe/protocol/spire-bundle'
import { status } from '@grpc/grpc-js'
import { describe, expect, it, onTestFinished } from 'vitest'
import { testServer } from '../agent.fixture.ts'
import { systemClock } from '../clock.ts'
import { openServerConnection } from './server-connection.ts'

const getBundle = BundleService.getBundle

describe('a connection to the server', () => {
  it('is given up for another one when nobody answers on it any more', async () => {
    const { connection, wire } = await connectionOver()
    expect((await connection.call(getBundle, { outputMask: undefined })).trustDomain).toBe('example.test')
    wire.freeze()
    const waiting = Array.from({ length: 3 }, () => connection.call(getBundle, { outputMask: undefined }))
    const outcomes = await Promise.allSettled(waiting)
    expect(outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason.code)).toEqual(
      Array.from({ length: 3 }, () => status.DEADLINE_EXCEEDED),
    )
    // The frozen connection still stands: only a new one is served.
    expect((await connection.call(getBundle, { outputMask: undefined })).trustDomain).toBe('example.test')
    expect(wire.accepted).toBe(2)
  })

  it('is given up, too, when it is accepted and nothing follows', async () => {
    const { connection, wire } = await connectionOver()
    wire.silent = true
    await expect(connection.call(getBundle, { outputMask: undefined })).rejects.toMatchObject({
      code: status.DEADLINE_EXCEEDED,
    })
    wire.silent = false
    expect((await connection.call(getBundle, { outputMask: undefined })).trustDomain).toBe('example.test')
  })
})

async function connectionOver() {
  const server = await testServer()
  const wire = await openWire(Number(server.address.split(':')[1]))
  const connection = openServerConnection({
    address: `127.0.0.1:${wire.port}`,
    trustDomain: server.trustDomain,
    trust: { anchors: parsePemCertificates(server.bundlePem) },
    clock: systemClock,
    deadlineMilliseconds: 1_000,
  })
  onTestFinished(() => connection.close())
  return { connection, wire }
}

/** Hands on what comes, until it is frozen: then those connections stay open, and nothing moves on them. */
async function openWire(to: number) {
  const open: Socket[] = []
  const wire = {
    port: 0,
    accepted: 0,
    silent: false,
    freeze() {
      for (const socket of open) socket.unpipe().pause()
    },
  }
  const listener = createServer((socket) => {
    wire.accepted += 1
    const beyond = connect(to, '127.0.0.1')
    for (const one of [socket, beyond]) one.on('error', () => {})
    open.push(socket, beyond)
    if (wire.silent) return
    socket.pipe(beyond)
    beyond.pipe(socket)
  }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  wire.port = (listener.address() as AddressInfo).port
  onTestFinished(() => {
    for (const socket of open) socket.destroy()
    listener.close()
  })
  return wire
}
