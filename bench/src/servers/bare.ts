// The floor: node:http, parse the form, sign the same claims. No client, no limits, no audit.
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createSigner } from '@countersign/tokens'

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const signer = createSigner({ algorithm: 'ES256', kid: 'bare', key: privateKey, type: 'at+jwt' })

const server = createServer((request, response) => {
  let text = ''
  request.setEncoding('utf8')
  request.on('data', (chunk: string) => {
    text += chunk
  })
  request.on('end', () => {
    const clientId = new URLSearchParams(text).get('client_id')
    const iat = Math.floor(Date.now() / 1000)
    const token = signer.sign({
      iss: 'http://localhost/',
      sub: clientId,
      client_id: clientId,
      aud: 'https://api.example.com',
      scope: 'read:things',
      iat,
      exp: iat + 3600,
      jti: randomUUID(),
    })
    const body = JSON.stringify({ access_token: token, token_type: 'Bearer', expires_in: 3600, scope: 'read:things' })
    response.writeHead(200, {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'content-length': Buffer.byteLength(body),
    })
    response.end(body)
  })
})
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo
  console.log(
    JSON.stringify({ port, path: '/', body: 'grant_type=client_credentials&client_id=bench&client_secret=x' }),
  )
})
process.on('SIGTERM', () => process.exit(0))
