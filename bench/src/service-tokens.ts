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
import { type Figure, median, percent, perSecond } from './figures.ts'

/** Many rounds so short that what disturbs one half of a round mostly disturbs the other half too. */
const rounds = 200
const tokensARound = 100
/** Until all of it is compiled. */
const warmUpRounds = 50
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

  const signing: Round[] = []
  const verifying: Round[] = []
  for (let round = 0; round < warmUpRounds + rounds; round++) {
    const receive = receiver(key)
    const tokens: string[] = []
    signing.push({
      raw: rate(() => sign(null, input, privateKey)),
      ours: rate(() => tokens.push(signCall())),
    })
    verifying.push({
      raw: rate(() => verify(null, input, key.key, signature)),
      ours: rate((turn) => receive(tokens[turn] as string)),
    })
  }
  return [
    figure('sign a call (service token) against raw crypto.sign', signing.slice(warmUpRounds), 0.75),
    figure('verify a call (service token, single use) against raw crypto.verify', verifying.slice(warmUpRounds), 0.85),
  ]
}

interface Round {
  raw: number
  ours: number
}

function figure(name: string, measured: readonly Round[], budget: number): Figure {
  const ratio = median(measured.map(({ raw, ours }) => ours / raw))
  const [ours, raw] = [measured.map((round) => round.ours), measured.map((round) => round.raw)].map(median)
  return {
    name,
    measured: `${percent(ratio)} (${perSecond(ours as number)} of ${perSecond(raw as number)})`,
    budget: `>= ${percent(budget)}`,
    met: ratio >= budget,
  }
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
