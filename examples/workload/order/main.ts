// The calling service: asks inventory for stock without pause, each call on a connection of its own.

import { allowId } from '@countersign/spiffe/tls'
import { undiciDispatcher } from '@countersign/spiffe/undici'
import { createX509Source } from '@countersign/spiffe/workload-api'
import { request } from 'undici'

const inventory = process.env.INVENTORY!
const identity = createX509Source()
await identity.ready
say('ready', { spiffeId: identity.svid().id.toString() })
identity.onUpdate(() => say('rotated', { expiresAt: identity.svid().expiresAt }))

let calls = 0
let failed = 0
const atOnce = 4
for (let each = 0; each < atOnce; each++) void callWithoutPause()
setInterval(() => say('calls', { calls, failed }), 500)

async function callWithoutPause(): Promise<never> {
  const dispatcher = undiciDispatcher(identity, allowId('spiffe://shop.example/inventory'))
  for (;;) {
    calls += 1
    try {
      // `reset` closes the connection afterwards, so that every call is a handshake.
      const { statusCode, body } = await request(`${inventory}/v1/stock`, { dispatcher, reset: true })
      const text = await body.text()
      if (statusCode !== 200) throw new Error(`${statusCode} ${text}`)
    } catch (error) {
      failed += 1
      say('failed', { why: (error as Error).message })
    }
  }
}

// What an attacker would have who read this process's memory.
process.on('SIGUSR2', () => {
  const { certificates, privateKey } = identity.svid()
  say('copied', {
    certificates: certificates.map(({ der }) => der.toString('base64')),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64'),
  })
})

function say(msg: string, more: object = {}): void {
  console.log(JSON.stringify({ msg, ...more }))
}
