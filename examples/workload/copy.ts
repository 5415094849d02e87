import { request } from 'node:https'
import { text } from 'node:stream/consumers'

/** What somebody has who read a process's memory: base64 DER. */
export interface Copy {
  readonly certificates: readonly string[]
  readonly privateKey: string
}

/** A call with a copied key and certificate, from a process that no agent knows. */
export function callWithCopy(url: string, copy: Copy): Promise<{ status: number; body: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>()
  const asked = request(
    `${url}/v1/stock`,
    {
      cert: copy.certificates.map((der) => pem('CERTIFICATE', der)).join(''),
      key: pem('PRIVATE KEY', copy.privateKey),
      // A thief does not care whom he talks to.
      rejectUnauthorized: false,
      agent: false,
    },
    async (response) => resolve({ status: response.statusCode ?? 0, body: await text(response) }),
  )
  asked.on('error', reject)
  asked.end()
  return promise
}

function pem(label: string, base64: string): string {
  return `-----BEGIN ${label}-----\n${base64.match(/.{1,64}/g)!.join('\n')}\n-----END ${label}-----\n`
}
