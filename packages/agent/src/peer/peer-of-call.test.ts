import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, credentials, Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { WorkloadProcess } from '../process/workload-process.ts'
import { peerOf } from './peer-of.ts'
import { type CallPeers, createCallPeers } from './peer-of-call.ts'

const bytes = { serialize: (value: Buffer) => value, deserialize: (value: Buffer) => value }
const method = {
  path: '/test.Echo/Who',
  requestStream: false,
  responseStream: false,
  requestSerialize: bytes.serialize,
  requestDeserialize: bytes.deserialize,
  responseSerialize: bytes.serialize,
  responseDeserialize: bytes.deserialize,
} as const

/** grpc-js knows nothing of peers on Unix sockets: this holds on to the two ways by which they are carried through it. */
describe('createCallPeers with grpc-js', () => {
  const folder = mkdtempSync(join(tmpdir(), 'call-peers-'))
  const path = join(folder, 'a.sock')
  let peers: CallPeers
  let grpc: Server
  let listener: net.Server
  let seen: (WorkloadProcess | Error)[]
  const known = new Map<net.Socket, WorkloadProcess>()

  beforeEach(async () => {
    peers = createCallPeers()
    seen = []
    grpc = new Server()
    grpc.addService(
      { who: method },
      {
        who(call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) {
          try {
            seen.push(peers.of(call))
          } catch (error) {
            seen.push(error as Error)
          }
          answer(null, Buffer.alloc(0))
        },
      },
    )
    const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure())
    listener = net.createServer((socket) => {
      const peer = peerOf(socket)
      known.set(socket, peer)
      if (peers !== undefined) peers.remember(socket, peer)
      injector.injectConnection(socket)
    })
    await new Promise<void>((resolve) => listener.listen(path, resolve))
    chmodSync(path, 0o777)
  })
  afterEach(async () => {
    grpc.forceShutdown()
    await new Promise((resolve) => listener.close(resolve))
    rmSync(path, { force: true })
  })

  const ask = async (client: Client) => {
    await new Promise<void>((resolve, reject) =>
      client.makeUnaryRequest(method.path, bytes.serialize, bytes.deserialize, Buffer.alloc(0), (error) =>
        error ? reject(error) : resolve(),
      ),
    )
  }

  it('tells a call which process it comes from, each connection its own', async () => {
    const clients = [1, 2].map(
      () => new Client(`unix://${path}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 }),
    )
    for (const client of clients) await ask(client)
    expect(seen).toEqual([...known.values()].slice(-2))
    expect(seen[0]).not.toBe(seen[1])
    expect(seen[0]).toMatchObject({ pid: process.pid })
    for (const client of clients) client.close()
  })

  it('knows nobody for a connection that was not remembered', async () => {
    peers = { ...peers, remember: () => {} }
    const client = new Client(`unix://${path}`, credentials.createInsecure())
    await ask(client)
    expect(seen[0]).toMatchObject({ code: 'unknown_peer' })
    client.close()
  })

  it('forgets a connection that is closed', async () => {
    const socket = new net.Socket()
    peers.remember(socket, { pid: 1 } as WorkloadProcess)
    const call = { getPeer: () => socket.remoteAddress as string }
    expect(peers.of(call)).toEqual({ pid: 1 })
    socket.destroy()
    await new Promise((resolve) => socket.once('close', resolve))
    expect(() => peers.of(call)).toThrow(expect.objectContaining({ code: 'unknown_peer' }))
  })
})
