import { createServiceTokenVerifier, GuardError, type ServiceTokenVerifier } from '@countersign/guard'
import { receiveRecord } from '@countersign/guard/kafka'
import { createMemorySingleUse } from '@countersign/limits'
import {
  type CallBinding,
  checkMd5Token,
  checkServiceToken,
  grpcBinding,
  httpBinding,
  isServiceToken,
  kafkaMessageBinding,
  kafkaRecordBinding,
  md5MessageHash,
  md5RequestHashes,
  md5TokenSender,
  type ParsedJws,
  parseJwks,
  parseJwt,
  parseTokenMessage,
  selectKey,
  serviceTokenReason,
  serviceTokenSender,
  TokenError,
  type VerificationKey,
} from '@countersign/tokens'
import { describe, expect, it } from 'vitest'
import { describeWith } from './describe-with.ts'
import { preparePython } from './python.ts'
import { type ReceivedCall, readServiceTokenVectors } from './vectors/service-token-vectors.ts'

const { receiver, services, vectors } = readServiceTokenVectors()
const verdictOf = ({ accept, reason }: { accept: boolean; reason?: string }) => (accept ? 'accepted' : reason)
const expected = Object.fromEntries(vectors.map((vector) => [vector.name, verdictOf(vector)]))

describe('our tokens package on service tokens', () => {
  const uses = memoryOfAnHour()

  // In their order: the last ones are replays of others.
  it.each(vectors.map((vector) => [vector.name, vector] as const))(
    '%s',
    (name, { token, call, acceptsMd5 = false }) => {
      expect(verdict(() => receive(token, call, acceptsMd5))).toBe(expected[name])
    },
  )

  function receive(token: string, call: ReceivedCall, acceptsMd5: boolean): void {
    const parsed = parseJwt(token)
    if (acceptsMd5 && !isServiceToken(parsed)) {
      const key = keyOf(md5TokenSender(parsed), parsed)
      checkMd5Token(parsed, key, { ...receiver, hashes: hashesOf(call) }, receiver.now)
      return
    }
    const key = keyOf(serviceTokenSender(parsed), parsed)
    const claims = checkServiceToken(parsed, key, { ...receiver, binding: bindingOf(call) }, receiver.now)
    const place = call.transport === 'kafka' ? `${call.topic}/${call.partition}/${call.offset}` : undefined
    const use = { issuedAt: receiver.now, ...(place !== undefined && { place }) }
    const outcome = uses.use(`${claims.iss} ${claims.jti}`, claims.exp + receiver.leewaySeconds, use)
    if (outcome !== 'first' && outcome !== 'again') throw new TokenError('replayed_token', 'used before', 'jti')
  }
})

describe('our guard on service tokens', () => {
  const clock = receiver.now * 1000
  const options = {
    name: 'inventory',
    audiences: receiver.audiences,
    keys: { keyFor: keyForSender, keysOf: async (shortName: string) => parseJwks(services[shortName] ?? { keys: [] }) },
    uses: memoryOfAnHour(),
    leewaySeconds: receiver.leewaySeconds,
    now: () => clock,
  }
  const strict = createServiceTokenVerifier(options)
  const lenient = createServiceTokenVerifier({ ...options, md5: { publicBase: receiver.md5PublicBase } })

  it.each(vectors.map((vector) => [vector.name, vector] as const))('%s', async (name, { token, call, acceptsMd5 }) => {
    const said = await receive(acceptsMd5 ? lenient : strict, token, call).catch((error) => error)
    expect(said instanceof GuardError ? said.reason : 'accepted').toBe(expected[name])
  })

  function receive(verifier: ServiceTokenVerifier, token: string, call: ReceivedCall): Promise<unknown> {
    switch (call.transport) {
      case 'http':
        return verifier.verify(token, { ...call, content: Buffer.from(call.content, 'base64') })
      case 'grpc':
        return verifier.verify(token, { ...call, message: bytes(call.message) })
      case 'kafka': {
        const headers = call.carrier === 'header' ? [['m2m-token', Buffer.from(token)] as const] : []
        const stands = { partition: call.partition, offset: BigInt(call.offset), timestamp: clock }
        const record = { ...call, ...stands, key: bytes(call.key), value: bytes(call.value), headers }
        return receiveRecord(verifier, { ...record, timestampType: 'append' }, { group: 'inventory' })
      }
    }
  }
})

/** What is older than the memory would be refused. */
function memoryOfAnHour() {
  let clock = (receiver.now - 3600) * 1000
  const uses = createMemorySingleUse({ now: () => clock, monotonicNow: () => clock })
  clock = receiver.now * 1000
  return uses
}

function bindingOf(call: ReceivedCall): CallBinding {
  switch (call.transport) {
    case 'http':
      return httpBinding({ ...call, content: Buffer.from(call.content, 'base64') })
    case 'grpc':
      return grpcBinding({ ...call, message: bytes(call.message) })
    case 'kafka': {
      const key = bytes(call.key)
      if (call.carrier === 'header') return kafkaRecordBinding({ ...call, key, value: bytes(call.value) })
      return kafkaMessageBinding({ ...call, key, message: parseTokenMessage(bytes(call.value) as Buffer) })
    }
  }
}

function hashesOf(call: ReceivedCall): readonly string[] {
  if (call.transport === 'kafka') return [md5MessageHash(parseTokenMessage(bytes(call.value) as Buffer))]
  if (call.transport === 'grpc') throw new Error('the md5 profile has no gRPC')
  return md5RequestHashes({ ...call, content: Buffer.from(call.content, 'base64') }, receiver.md5PublicBase)
}

function keyForSender(shortName: string, header: ParsedJws['header'] | { kid?: string; alg: string }) {
  return selectKey(parseJwks(services[shortName] ?? { keys: [] }), header)
}

function keyOf(shortName: string, parsed: ParsedJws): VerificationKey {
  const key = keyForSender(shortName, parsed.header)
  if (!key) throw new TokenError('unknown_key', 'no key has this kid', 'kid')
  return key
}

function bytes(base64: string | null): Buffer | null {
  return base64 === null ? null : Buffer.from(base64, 'base64')
}

function verdict(verify: () => void): string {
  try {
    verify()
    return 'accepted'
  } catch (error) {
    if (error instanceof TokenError) return serviceTokenReason(error)
    throw error
  }
}

await describeWith(preparePython, 'A verifier of sixty lines of Python', (python) => {
  const ofProfile = (md5: boolean) => vectors.filter(({ acceptsMd5 = false }) => acceptsMd5 === md5)

  it.each([
    ['service tokens', 'verify_service_tokens.py', ofProfile(false)],
    ['the md5 profile', 'verify_md5_tokens.py', ofProfile(true)],
  ])('finds the same at fault in every call: %s', async (_profile, script, chosen) => {
    const verdicts = await python.ask(script, { receiver, services, vectors: chosen })
    expect(verdicts).toEqual(Object.fromEntries(chosen.map((vector) => [vector.name, verdictOf(vector)])))
  })
})
