import { generateKeyPairSync, sign, verify } from 'node:crypto'
import { createMemorySingleUse } from '@countersign/limits'
import {
  checkServiceToken,
  createServiceTokenSigner,
  httpBinding,
  importPublicJwk,
  parseJwt,
  serviceTokenIssuedAt,
  serviceTokenSender,
  type VerificationKey,
} from '@countersign/tokens'
import { type Figure, percent, perSecond } from './figures.ts'

/** Many short rounds, of which the best counts: in process, all that disturbs only makes slower. */
const rounds = 15
const tokensARound = 1500
const call = {
  method: 'POST',
  target: '/v1/stock/decrease?sku=1',
  content: Buffer.from(JSON.stringify({ productId: 'a'.repeat(240), quantity: 3 })),
}
const audience = 'inventory-service'

/** In process, on one core: signing and verifying a call of 300 bytes, against the raw signature of as many bytes. */
export async function benchServiceTokens(): Promise<Figure[]> {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const publicJwk = publicKey.export({ format: 'jwk' }) as { kty: string }
  const key = importPublicJwk(publicJwk)
  const signer = createServiceTokenSigner({ name: 'order', key: { key: privateKey, publicJwk }, now: Date.now })
  const signCall = () => signer.sign({ audience, binding: httpBinding(call) })
  const example = signCall()
  const input = Buffer.from(example.slice(0, example.lastIndexOf('.')))
  const signature = sign(null, input, privateKey)

  const rates = { sign: [0], rawSign: [0], verify: [0], rawVerify: [0] }
  for (let round = 0; round < rounds; round++) {
    const receive = receiver(key)
    const tokens: string[] = []
    rates.rawSign.push(rate(() => sign(null, input, privateKey)))
    rates.sign.push(rate(() => tokens.push(signCall())))
    rates.rawVerify.push(rate(() => verify(null, input, key.key, signature)))
    rates.verify.push(rate((turn) => receive(tokens[turn] as string)))
  }
  const best = (name: keyof typeof rates) => Math.max(...rates[name])
  const against = (name: 'sign' | 'verify', raw: 'rawSign' | 'rawVerify') => ({
    ratio: best(name) / best(raw),
    measured: `${percent(best(name) / best(raw))} (${perSecond(best(name))} of ${perSecond(best(raw))})`,
  })
  const signing = against('sign', 'rawSign')
  const verifying = against('verify', 'rawVerify')
  return [
    {
      name: 'sign a call (service token) against raw crypto.sign',
      measured: signing.measured,
      budget: '>= 75 %',
      met: signing.ratio >= 0.75,
    },
    {
      name: 'verify a call (service token, single use) against raw crypto.verify',
      measured: verifying.measured,
      budget: '>= 85 %',
      met: verifying.ratio >= 0.85,
    },
  ]
}

/** Everything between the token's text and the handler: form, signature, times, audience, binding, single use. */
function receiver(key: VerificationKey): (token: string) => void {
  const uses = createMemorySingleUse()
  return (token) => {
    const parsed = parseJwt(token)
    const sender = serviceTokenSender(parsed)
    const rules = { audiences: [audience], binding: httpBinding(call) }
    const claims = checkServiceToken(parsed, key, rules, Date.now() / 1000)
    const use = { issuedAt: serviceTokenIssuedAt(claims) }
    const outcome = uses.use(`${audience} ${sender} ${claims.jti}`, claims.exp + 10, use)
    if (outcome !== 'first') throw new Error(`the use was ${outcome}`)
  }
}

function rate(work: (turn: number) => unknown): number {
  const startedAt = performance.now()
  for (let turn = 0; turn < tokensARound; turn++) work(turn)
  return (tokensARound * 1000) / (performance.now() - startedAt)
}
