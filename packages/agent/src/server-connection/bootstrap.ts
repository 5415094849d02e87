import { readFileSync } from 'node:fs'
import { connect } from 'node:tls'
import {
  type Certificate,
  parseBundleDocument,
  parseCertificate,
  parsePemCertificates,
  serverId,
} from '@countersign/spiffe'
import { AgentError, reasonOf } from '../agent-error.ts'
import { connectionFailure } from './connection-failure.ts'
import { callDeadlineMilliseconds, type ServerTrust, shownId } from './server-connection.ts'

/** What a node that knows nothing yet judges the server by. */
export type Bootstrap =
  /** PEM certificates, or a SPIFFE bundle document. */
  | { readonly bundleFile: string }
  /** https, judged by the system's certificate authorities or by those in `caFile`; plain http on this machine only. */
  | { readonly bundleUrl: string; readonly caFile?: string }
  /** Believes whoever answers first and has the server's ID: for trying out, never where others share the network. */
  | { readonly insecure: true }

/** What the first connection to the server is judged by. */
export async function bootstrapTrust(
  bootstrap: Bootstrap,
  server: { address: string; trustDomain: string },
): Promise<ServerTrust> {
  if ('insecure' in bootstrap) return { pinned: await firstCertificateOf(server) }
  if ('bundleUrl' in bootstrap) return { anchors: await fetchAnchors(bootstrap, server.trustDomain) }
  const { bundleFile } = bootstrap
  return { anchors: readAnchors(readBundleFile(bundleFile), server.trustDomain, bundleFile) }
}

function readBundleFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new AgentError(
      'invalid_configuration',
      `the bootstrap bundle ${path} cannot be read (${(error as NodeJS.ErrnoException).code}); get it where the server is administered: countersign bundle show --format pem > ${path}`,
    )
  }
}

async function fetchAnchors(
  bootstrap: { bundleUrl: string; caFile?: string },
  trustDomain: string,
): Promise<readonly Certificate[]> {
  const { hostname } = new URL(bootstrap.bundleUrl)
  // Most nodes have the bundle in a file and need no HTTP client in their memory.
  const { guardedFetch } = await import('@countersign/outbound')
  try {
    const answer = await guardedFetch(bootstrap.bundleUrl, {
      allowHttp: isLoopback(hostname),
      // The operator's own URL, often of a private network.
      allowPrivateAddresses: true,
      maximumBytes: 1024 * 1024,
      ...(bootstrap.caFile === undefined ? {} : { ca: readBundleFile(bootstrap.caFile) }),
    })
    return readAnchors(answer.body.toString('utf8'), trustDomain, bootstrap.bundleUrl)
  } catch (error) {
    if (error instanceof AgentError) throw error
    throw new AgentError('unavailable', `the bootstrap bundle cannot be had: ${reasonOf(error)}`, { cause: error })
  }
}

/** True for the names and addresses of this machine alone. */
export function isLoopback(hostname: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname)
}

function readAnchors(text: string, trustDomain: string, place: string): readonly Certificate[] {
  try {
    const anchors = text.trimStart().startsWith('{')
      ? parseBundleDocument(trustDomain, text).x509Authorities
      : parsePemCertificates(text)
    if (anchors.length === 0) throw new Error('it holds no X.509 authority')
    return anchors
  } catch (error) {
    throw new AgentError(
      'invalid_configuration',
      `the bootstrap bundle ${place} cannot be used: ${reasonOf(error)}; get it where the server is administered: countersign bundle show --format pem`,
    )
  }
}

/** The very certificate that the server shows now: what follows on another connection must show the same one. */
function firstCertificateOf(server: { address: string; trustDomain: string }): Promise<Certificate> {
  const [, host = '', port = ''] = /^\[?(.+?)\]?:(\d+)$/.exec(server.address) ?? []
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port), rejectUnauthorized: false, ALPNProtocols: ['h2'] })
    const fail = (why: string) => {
      socket.destroy()
      reject(new AgentError('unavailable', `the server at ${server.address} ${why}`))
    }
    socket.setTimeout(callDeadlineMilliseconds, () => fail('does not answer'))
    socket.once('error', (error) => fail(`cannot be reached: ${connectionFailure(error.message)}`))
    socket.once('secureConnect', () => {
      try {
        const leaf = parseCertificate(socket.getPeerCertificate(true).raw)
        const expected = serverId(server.trustDomain).toString()
        if (leaf.uris.length !== 1 || leaf.uris[0] !== expected)
          return fail(`shows ${shownId(leaf)}, not ${expected}; is the trust domain right?`)
        resolve(leaf)
        socket.destroy()
      } catch (error) {
        fail(`shows no certificate that can be read: ${reasonOf(error)}`)
      }
    })
  })
}
