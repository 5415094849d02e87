import { createMemorySingleUse } from '@countersign/limits'
import { grpcBinding } from '@countersign/tokens'
import { describe, expect, it, test } from 'vitest'
import { GuardConfigurationError } from '../guard-error.ts'
import { reasonOf, refusalOf } from './reason.fixture.ts'
import { call, decode, inventory, now, order, received, senders, setTime, time } from './receiver.fixture.ts'
import type { ServiceTokenOptions, ServiceTokenUses } from './service-token-options.ts'
import type { ServiceTokenValidation } from './validation.ts'

describe('a verified service token', () => {
  it('yields the caller, and all its claims frozen', async () => {
    const binding = { transport: 'http', method: 'POST', target: call.target, digest: 'x' } as const
    const claims: Record<string, unknown> = { ...order.claims(binding), tenant: 'acme', extra: { deep: [1] } }
    const { contentDigest } = await import('@countersign/tokens')
    const req = { method: 'POST', target: call.target, digest: contentDigest(received.content) }
    const caller = await inventory().verify(order.forge({ ...claims, req }), received)
    expect(caller).toEqual({
      method: 'service_token',
      clientId: 'order-service',
      subject: 'order-service',
      issuer: 'order-service',
      audience: 'inventory-service',
      scopes: [],
      credentialId: order.kid,
      tokenId: claims.jti,
      tenant: 'acme',
      expiresAt: claims.exp,
      claims: { ...claims, req },
    })
    expect(() => Object.assign(caller.claims, { sender: 'evil-service' })).toThrow(TypeError)
    expect(() => (caller.claims.extra as { deep: number[] }).deep.push(2)).toThrow(TypeError)
  })

  it('may be for the full name, or for what M2M_AUDIENCES adds', async () => {
    const verifier = inventory({ name: 'inventory-service', audiences: ['https://stock.example'] })
    expect(await reasonOf(verifier.verify(order.forCall(call), received))).toBe('accepted')
    const token = order.forCall(call, 'https://stock.example')
    expect((await verifier.verify(token, received)).audience).toBe('https://stock.example')
    expect(await reasonOf(verifier.verify(order.forCall(call, 'https://stock.example/'), received))).toBe('aud')
  })

  it('passes within the leeway and not beyond it', async () => {
    const token = order.forCall(call)
    const issuedAt = Math.floor(time / 1000)
    const uses: ServiceTokenUses = { use: () => 'first' }
    for (const [seconds, reason] of [
      [-11, 'iat'],
      [-9, 'accepted'],
      [69, 'accepted'],
      [71, 'expired'],
    ] as const) {
      setTime((issuedAt + seconds) * 1000)
      expect(await reasonOf(inventory({ uses }).verify(token, received)), String(seconds)).toBe(reason)
    }
  })

  it('has the scopes of its sender, where it is known as a client', async () => {
    const scopesOf = async (sender: string) => (sender === 'order-service' ? ['read:stock'] : [])
    expect((await inventory({ scopesOf }).verify(order.forCall(call), received)).scopes).toEqual(['read:stock'])
    const away = async () => {
      throw new Error('no database at 10.0.0.7')
    }
    const error = await refusalOf(inventory({ scopesOf: away }).verify(order.forCall(call), received))
    expect([error?.status, error?.reason]).toEqual([503, 'scopes_unavailable'])
    expect(JSON.stringify(error?.toProblem())).not.toMatch(/10\.0\.0\.7/)
  })
})

describe('single use', () => {
  it('is asked for last: what is refused for something else can still be used', async () => {
    const verifier = inventory()
    const token = order.forCall(call)
    for (const changed of [{ method: 'PUT' }, { target: '/' }, { content: Buffer.from('') }]) {
      expect(await reasonOf(verifier.verify(token, { ...received, ...changed }))).not.toBe('accepted')
    }
    expect(await reasonOf(verifier.verify(token, received))).toBe('accepted')
    expect(await reasonOf(verifier.verify(token, received))).toBe('replayed')
  })

  it('is not spent by a sender whom the lists refuse', async () => {
    const asked: string[] = []
    const uses: ServiceTokenUses = {
      use: (id) => {
        asked.push(id)
        return 'first'
      },
    }
    const blocking = inventory({ uses, blockList: ['order'] })
    expect(await reasonOf(blocking.verify(order.forCall(call), received))).toBe('sender')
    expect(asked).toEqual([])
  })

  it("is kept under receiver, sender and jti until the token's end and the leeway", async () => {
    const asked: unknown[] = []
    const uses: ServiceTokenUses = {
      use: (...all) => {
        asked.push(all)
        return 'first'
      },
    }
    const { claims } = await inventory({ uses }).verify(order.forCall(call), received)
    const issuedAt = expect.closeTo(time / 1000, 2)
    expect(asked).toEqual([
      [
        JSON.stringify(['inventory-service', 'order-service', claims.jti]),
        claims.exp + 10,
        { issuedAt, place: undefined },
      ],
    ])
  })

  it('lets two senders have the same jti, and two receivers', async () => {
    const billing = await senders.add('billing', { now })
    const uses = createMemorySingleUse({ now, monotonicNow: now })
    const jti = 'same'
    const tokens = [order, billing].map((sender) => {
      const { req } = decode(sender.forCall(call))
      return sender.forge({
        ...sender.claims({ transport: 'grpc', method: '', digest: null }),
        jti,
        req,
        iat: Math.ceil(time / 1000),
      })
    })
    for (const token of tokens) expect(await reasonOf(inventory({ uses }).verify(token, received))).toBe('accepted')
    for (const token of tokens) expect(await reasonOf(inventory({ uses }).verify(token, received))).toBe('replayed')
  })

  it('refuses what a memory that began later cannot know: a restart forgets nothing (68)', async () => {
    const token = order.forCall(call)
    setTime(time + 1)
    expect(await reasonOf(inventory().verify(token, received))).toBe('replayed')
    const error = await refusalOf(inventory().verify(token, received))
    expect(error?.message).toMatch(/before this receiver began to remember/)
    expect(await reasonOf(inventory().verify(order.forCall(call), received))).toBe('accepted')
  })

  it('refuses with 503 where the memory is away, slow of wit, or full (81, 36)', async () => {
    const failing = [
      { use: () => Promise.reject(new Error('ECONNREFUSED 10.0.0.7')) },
      {
        use: () => {
          throw new Error('boom')
        },
      },
      createMemorySingleUse({ now, monotonicNow: now, maximumEntries: 0 }),
    ]
    for (const uses of failing) {
      const error = await refusalOf(inventory({ uses }).verify(order.forCall(call), received))
      expect([error?.code, error?.status, error?.reason]).toEqual(['unavailable', 503, 'uses_unavailable'])
      expect(error?.headers()['retry-after']).toBeDefined()
      expect(JSON.stringify(error?.toProblem())).not.toMatch(/10\.0\.0\.7|boom/)
    }
    for (const odd of [undefined, true, 'yes', 1, 'again']) {
      const uses = { use: () => odd as never }
      expect(await reasonOf(inventory({ uses }).verify(order.forCall(call), received))).toBe('replayed')
    }
  })

  it('keeps what was used when a flood fills the memory (36)', async () => {
    const uses = createMemorySingleUse({ now, monotonicNow: now, maximumEntries: 10 })
    const verifier = inventory({ uses })
    const first = order.forCall(call)
    expect(await reasonOf(verifier.verify(first, received))).toBe('accepted')
    for (let index = 0; index < 30; index++) await reasonOf(verifier.verify(order.forCall(call), received))
    expect(await reasonOf(verifier.verify(first, received))).toBe('replayed')
    expect(await reasonOf(verifier.verify(order.forCall(call), received))).toBe('unavailable:uses_unavailable')
    setTime(time + 71_000)
    expect(await reasonOf(verifier.verify(order.forCall(call), received)), 'once they have ended').toBe('accepted')
    expect(await reasonOf(verifier.verify(first, received))).toBe('expired')
  })

  it('is not taken for new where it ends while it is being checked', async () => {
    const slowly = (milliseconds: number) => () => {
      setTime(time + milliseconds)
      return []
    }
    expect(await reasonOf(inventory({ scopesOf: slowly(60_000) }).verify(order.forCall(call), received))).toBe(
      'accepted',
    )
    expect(await reasonOf(inventory({ scopesOf: slowly(71_000) }).verify(order.forCall(call), received))).toBe(
      'expired',
    )
  })
})

describe('access lists', () => {
  it('answer 403 in the words of the contract', async () => {
    const blocked = await refusalOf(inventory({ blockList: ['order'] }).verify(order.forCall(call), received))
    expect([blocked?.status, blocked?.code, blocked?.reason]).toEqual([403, 'InvalidM2MToken', 'sender'])
    expect(blocked?.message).toBe("M2M token sender 'order-service' is in the M2M block list")
    const stranger = await refusalOf(inventory({ allowList: [] }).verify(order.forCall(call), received))
    expect(stranger?.message).toBe("M2M token sender 'order-service' is not in the allowed M2M clients list")
    expect(stranger?.headers()['www-authenticate']).toMatch(/^M2M error="InvalidM2MToken"/)
  })

  it('are asked about proven senders only', async () => {
    const other = await senders.add('other', { now })
    const forged = other.forge({ ...decode(order.forCall(call)) }, { kid: order.kid })
    const error = await refusalOf(inventory({ blockList: ['order'] }).verify(forged, received))
    expect([error?.status, error?.reason]).toEqual([401, 'signature'])
    const changed = await refusalOf(
      inventory({ blockList: ['order'] }).verify(order.forCall(call), { ...received, method: 'PUT' }),
    )
    expect([changed?.status, changed?.reason]).toEqual([401, 'method'])
  })

  it('spare the wait for the keys of who would be refused whatever they are', async () => {
    // On Kafka such a wait holds up every record behind it, and any writer can name senders whose keys are away.
    senders.answer = (_request, response) => void response.writeHead(500).end()
    const stranger = await senders.add('stranger', { now })
    try {
      const listed = inventory({ allowList: ['order'] })
      expect(await reasonOf(listed.verify(stranger.forCall(call), received))).toBe('sender')
      expect(await reasonOf(listed.verify(order.forCall(call), received))).toBe('unavailable:keys_unavailable')
      expect(await reasonOf(inventory().verify(stranger.forCall(call), received))).toBe('unavailable:keys_unavailable')
    } finally {
      senders.answer = undefined
    }
  })
})

describe('over gRPC', () => {
  const message = Buffer.from([8, 3])
  const rpc = { transport: 'grpc', method: '/shop.Inventory/Decrease', message } as const
  const signed = (call: { method: string; message: Uint8Array | null } = rpc) =>
    order.sign({ audience: 'inventory-service', binding: grpcBinding(call) })

  it('a token is bound to method and message', async () => {
    expect(await reasonOf(inventory().verify(signed(), rpc))).toBe('accepted')
    expect(await reasonOf(inventory().verify(signed(), { ...rpc, method: '/shop.Inventory/Increase' }))).toBe('method')
    expect(await reasonOf(inventory().verify(signed(), { ...rpc, message: Buffer.from([8, 4]) }))).toBe('digest')
  })

  it('the definition of the method says whether a message is bound, not the token', async () => {
    expect(await reasonOf(inventory().verify(signed({ ...rpc, message: null }), rpc))).toBe('digest')
    expect(await reasonOf(inventory().verify(signed(), { ...rpc, message: null }))).toBe('digest')
    expect(await reasonOf(inventory().verify(signed({ ...rpc, message: null }), { ...rpc, message: null }))).toBe(
      'accepted',
    )
  })
})

describe('every validation', () => {
  it('is told and logged, with the sender only where it is proven, and never with the token', async () => {
    const told: ServiceTokenValidation[] = []
    const logged: string[] = []
    const log = (level: string) => (details: object, message: string) =>
      void logged.push(
        JSON.stringify({ level, ...details, message }, (_key, value) =>
          typeof value === 'bigint' ? String(value) : value,
        ),
      )
    const logger = { info: log('info'), warn: log('warn') }
    const verifier = inventory({ onValidation: (event) => void told.push(event), logger, blockList: ['billing'] })
    const billing = await senders.add('billing', { now })
    const tokens = {
      good: order.forCall(call),
      changed: order.forCall({ ...call, content: 'x' }),
      forged: billing.forge(decode(order.forCall(call)), { kid: order.kid }),
      blocked: billing.forCall(call),
      unknown: order.forge({
        ...decode(order.forCall(call)),
        iss: 'ghost-service',
        sub: 'ghost-service',
        sender: 'ghost-service',
      }),
      former: order.forge({ sender: 'order-service', iss: 'order-service' }, { typ: 'JWT' }),
      garbage: 'canary.canary.canary',
    }
    for (const token of Object.values(tokens)) await reasonOf(verifier.verify(token, received))
    expect(told.map(({ outcome, sender, claimedSender, reason }) => [outcome, sender, claimedSender, reason])).toEqual([
      ['accepted', 'order-service', 'order-service', undefined],
      ['refused', 'order-service', 'order-service', 'digest'],
      ['refused', undefined, 'order-service', 'signature'],
      ['refused', 'billing-service', 'billing-service', 'sender'],
      ['refused', undefined, 'ghost-service', 'sender'],
      ['refused', undefined, 'order-service', 'typ'],
      ['refused', undefined, undefined, 'malformed'],
    ])
    const all = logged.join('\n')
    expect(logged.slice(1)).toHaveLength(7)
    for (const token of Object.values(tokens)) {
      for (const part of token.split('.').filter((text) => text.length > 10)) expect(all).not.toContain(part)
    }
    expect(all).not.toContain('sku=1')
    expect(JSON.parse(logged[1]!)).toMatchObject({
      level: 'info',
      message: 'service token accepted',
      sender: 'order-service',
      receiver: 'inventory-service',
      target: 'POST /v1/stock',
    })
    expect(JSON.parse(logged[2]!)).toMatchObject({
      level: 'warn',
      reason: 'digest',
      detail: expect.stringMatching(/content/),
    })
  })

  it('is decided whatever those who listen do', async () => {
    const boom = () => {
      throw new Error('boom')
    }
    const verifier = inventory({ onValidation: boom, logger: { info: boom, warn: () => {} } })
    expect(await reasonOf(verifier.verify(order.forCall(call), received))).toBe('accepted')
  })
})

describe('at start', () => {
  const notices = (options: Partial<ServiceTokenOptions>) => {
    const said: string[] = []
    inventory({ logger: { info: () => {}, warn: (_details, message) => void said.push(message) }, ...options })
    return said
  }

  test('a memory of this process alone is warned of where lists are enforced', () => {
    expect(notices({})).toEqual([expect.stringMatching(/in this process only.*Redis/)])
    expect(notices({ uses: { use: () => 'first' } })).toEqual([])
    expect(notices({ enforceLists: false })).toEqual([])
  })

  test('lists that are off are told', () => {
    expect(notices({ enforceLists: false, allowList: [] })).toEqual([expect.stringMatching(/lists.* off/)])
  })

  test.each([
    [{ name: '' }, /name/],
    [{ name: 'a/b' }, /name/],
    [{ name: undefined as never }, /name/],
    [{ keys: undefined as never }, /keys/],
    [{ keys: 'https://auth.example.com/jwks.json' }, /\$service/],
    [{ uses: undefined as never }, /uses/],
    [{ leewaySeconds: 61 }, /leewaySeconds/],
    [{ maxBody: Number.NaN }, /maxBody/],
    [{ mountedAt: '/v1/' }, /mountedAt/],
    [{ mountedAt: 'v1' }, /mountedAt/],
    [{ allowList: ['a b'] }, /allowList/],
  ])('%j is refused (33)', (options, why) => {
    expect(() => inventory(options)).toThrow(GuardConfigurationError)
    expect(() => inventory(options)).toThrow(why)
  })
})
