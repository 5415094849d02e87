import { constants } from 'node:crypto'
import { createServer, type Socket } from 'node:net'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { createServer as createTlsServer, type SecureContextOptions, type TLSSocket, type TlsOptions } from 'node:tls'
import { addressKey, createMemoryRateLimiter, normaliseAddress, type RateLimit } from '@countersign/limits'
import { shownCertificates } from '@countersign/spiffe'
import { type NodeConnection, type NodePeer, nameSocket } from './node-connection.ts'
import { Places } from './places.ts'

/** What the server shows of itself, and by whom it wants others' certificates signed. */
export interface ServingIdentity {
  /** PEM, leaf first, without the root */
  cert: string
  /** PEM */
  key: string
  /** PEM */
  ca: readonly string[]
}

export interface NodeListenerOptions {
  identity: () => ServingIdentity
  /** Who has given this chain (DER, leaf first), or throws: then the connection ends before a byte of it is read. */
  authenticate: (chain: readonly Buffer[]) => NodePeer
  onConnection: (socket: TLSSocket, connection: NodeConnection) => void
  bounds?: Partial<ConnectionBounds>
}

export interface ConnectionBounds {
  connections: number
  /** Of those, connections of who is no agent */
  strangers: number
  strangersPerAddress: number
  perAgent: number
  /** Handshakes under way */
  handshakes: number
  handshakesPerAddress: number
  handshakeMilliseconds: number
  /** How long calls under way may take to end when the server does */
  partingMilliseconds: number
  /** New connections of one address */
  perAddress: RateLimit
}

const defaultBounds: ConnectionBounds = {
  connections: 10_000,
  strangers: 1_000,
  // Half: a whole site that joins at once may stand behind one address, and must not keep the others out.
  strangersPerAddress: 500,
  perAgent: 32,
  handshakes: 1_024,
  handshakesPerAddress: 512,
  handshakeMilliseconds: 10_000,
  partingMilliseconds: 10_000,
  // A thousand agents behind one address, all at once after an outage.
  perAddress: { name: 'node_connections', quota: 100, windowSeconds: 1, burst: 2_000 },
}

/** So many chains are judged before others get their turn. */
const lookedAtOnce = 32

export interface NodeListener {
  listen(host: string, port: number): Promise<{ address: string; port: number }>
  /** New connections see the new identity; live ones stay as they are. */
  renewIdentity(): void
  /** Looks at every live connection again: whose chain is no longer good loses it. */
  authenticateAgain(): Promise<void>
  connectionOf(name: string): NodeConnection | undefined
  readonly size: number
  /** How many connections have shaken hands since the start */
  readonly accepted: number
  /** Takes no more connections; resolves when those there are have ended, or after a while. */
  stopListening(): Promise<void>
  /** Cuts what is left. */
  close(): Promise<void>
}

interface Live {
  socket: TLSSocket
  connection: NodeConnection
}

/** TLS for the node API: a certificate is asked for, never demanded, and checked by SPIFFE's rules rather than TLS's. */
export function createNodeListener(options: NodeListenerOptions): NodeListener {
  const bounds = { ...defaultBounds, ...options.bounds }
  const live = new Map<string, Live>()
  const sockets = new Set<Socket>()
  const handshakes = new Places(bounds.handshakes, bounds.handshakesPerAddress)
  const strangers = new Places(bounds.strangers, bounds.strangersPerAddress)
  const agents = new Places(bounds.connections, bounds.perAgent)
  const shaking = new Map<string, { address: string; shaken: () => void }>()
  const limiter = createMemoryRateLimiter({ maximumKeys: 10_000 })
  let made = 0

  const tls = createTlsServer({
    ...secureContext(options.identity()),
    requestCert: true,
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
    handshakeTimeout: bounds.handshakeMilliseconds,
  })
  tls.on('secureConnection', (socket) => accept(socket))
  // Node tells of a handshake that failed or took too long, and leaves the socket open.
  tls.on('tlsClientError', (_error, socket) => socket.destroy())
  const server = createServer({ noDelay: true, keepAlive: true }, (socket) => admit(socket))

  /** Before anything is computed for it. */
  function admit(socket: Socket): void {
    socket.on('error', () => {})
    const address = addressOf(socket)
    const key = addressKey(address)
    const mayCome = sockets.size < bounds.connections && limiter.take(bounds.perAddress, key).allowed
    const shaken = mayCome ? handshakes.take(key, socket) : undefined
    if (!shaken) return void socket.destroy()
    sockets.add(socket)
    const ends = endsOf(socket)
    shaking.set(ends, { address, shaken })
    socket.once('close', () => {
      sockets.delete(socket)
      shaking.delete(ends)
      shaken()
    })
    tls.emit('connection', socket)
  }

  function accept(socket: TLSSocket): void {
    socket.on('error', () => {})
    const { address, shaken } = shaking.get(endsOf(socket)) ?? {}
    if (address === undefined) return void socket.destroy()
    shaken?.()
    let peer: NodePeer | undefined
    try {
      // Tickets are off: a session that was resumed would prove nothing about now.
      if (socket.isSessionReused() || socket.alpnProtocol !== 'h2') throw new Error('not a connection of this kind')
      const chain = shownCertificates(socket.getPeerCertificate(true))
      if (chain.length > 0) peer = options.authenticate(chain)
    } catch {
      socket.destroy()
      return
    }
    const leave = peer?.isAgent ? agents.take(peer.id.toString(), socket) : strangers.take(addressKey(address), socket)
    if (!leave) return void socket.destroy()
    socket.once('close', leave)
    const name = `node-connection-${++made}`
    const connection: NodeConnection = { name, address, peer }
    nameSocket(socket, name)
    live.set(name, { socket, connection })
    socket.once('close', () => live.delete(name))
    options.onConnection(socket, connection)
  }

  return {
    listen: (host, port) =>
      new Promise((resolve, reject) => {
        server.once('error', reject)
        server.listen({ host, port }, () => {
          server.off('error', reject)
          // Out of file descriptors, for one: the next connection may do better.
          server.on('error', () => {})
          resolve(server.address() as { address: string; port: number })
        })
      }),
    renewIdentity() {
      tls.setSecureContext(secureContext(options.identity()))
    },
    async authenticateAgain() {
      let looked = 0
      for (const { socket, connection } of [...live.values()]) {
        if (!connection.peer) continue
        looked += 1
        if (looked % lookedAtOnce === 0) await turn()
        try {
          options.authenticate(connection.peer.chain.map(({ der }) => der))
        } catch {
          socket.destroy()
        }
      }
    },
    connectionOf: (name) => live.get(name)?.connection,
    get size() {
      return sockets.size
    },
    get accepted() {
      return made
    },
    async stopListening() {
      server.close()
      const end = performance.now() + bounds.partingMilliseconds
      while (sockets.size > 0 && performance.now() < end) await sleep(20)
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      while (sockets.size > 0) await sleep(5)
    },
  }
}

/** Tickets would let a session outlive the certificates that both sides have shown. */
function secureContext({ cert, key, ca }: ServingIdentity): SecureContextOptions & TlsOptions {
  return { cert, key, ca: [...ca], minVersion: 'TLSv1.2', secureOptions: constants.SSL_OP_NO_TICKET }
}

function addressOf(socket: Socket): string {
  const address = socket.remoteAddress ?? ''
  return normaliseAddress(address) ?? address
}

/** Both ends of a connection: no two that live have the same. */
function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
}
