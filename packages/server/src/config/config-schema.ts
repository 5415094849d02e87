import { isIP } from 'node:net'
import { z } from 'zod'
import { masterKeyFault } from '../sealing/master-key.ts'
import { parseDuration } from './duration.ts'

const duration = z
  .union([z.string(), z.number()])
  .meta({ description: 'a duration: 45s, 30m, 1h, 90d', examples: ['30d'] })
  .transform((text, context) => {
    const seconds = parseDuration(text)
    if (seconds !== undefined) return seconds
    context.addIssue({ code: 'custom', message: 'write a duration such as 45s, 30m, 1h or 90d' })
    return z.NEVER
  })

const secret = (minimumLength: number) =>
  z.string().min(minimumLength, `must have at least ${minimumLength} characters`)

const rateLimit = z.strictObject({
  quota: z.coerce.number().int().min(1).max(1_000_000).meta({ description: 'how many requests a window' }),
  window: duration.default(60),
})

const addressRange = z
  .string()
  .refine((text) => isIP(text.split('/')[0] ?? '') !== 0, 'must be an IP address or a CIDR range')

/** `countersign.yaml`. Every setting can also come from the environment: `COUNTERSIGN_` and its path in capitals. */
export const configSchema = z.strictObject({
  issuer: z
    .string()
    .refine(isIssuer, 'must be an http(s) URL without query or fragment')
    .meta({
      description: 'the `iss` of every token, kept exactly as written here',
      examples: ['https://auth.example.com/'],
    }),
  host: z.string().default('0.0.0.0').meta({ description: 'the address to listen on' }),
  port: z.coerce.number().int().min(0).max(65_535).default(8080),
  database_url: z
    .string()
    .default('sqlite:countersign.db')
    .meta({ description: 'sqlite:PATH for one machine, postgres://USER:PASSWORD@HOST/DATABASE for several replicas' }),
  redis_url: z
    .string()
    .regex(/^rediss?:\/\//, 'must begin with redis:// or rediss://')
    .optional()
    .meta({ description: 'shares rate limits and used assertions between replicas' }),
  master_key: z
    .string()
    .superRefine((text, context) => {
      const fault = masterKeyFault(text)
      if (fault) context.addIssue({ code: 'custom', message: fault })
    })
    .meta({
      description:
        '32 bytes in base64; better from COUNTERSIGN_MASTER_KEY_FILE. Make one with: openssl rand -base64 32',
    }),
  replica: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/, 'use letters, digits, dot, hyphen and underscore')
    .optional()
    .meta({
      description:
        "names this replica's audit chain; by default `local` on SQLite, else the host's name and something random",
    }),
  admin: z
    .strictObject({
      client_id: z.string().default('admin'),
      client_secret: secret(32).meta({ description: 'better from COUNTERSIGN_ADMIN_CLIENT_SECRET_FILE' }),
    })
    .optional()
    .meta({ description: 'a client with every admin scope, made or updated at start' }),
  tls: z
    .strictObject({ cert_file: z.string(), key_file: z.string() })
    .optional()
    .meta({ description: 'PEM files; read again when they change' }),
  trusted_proxies: z
    .union([
      z.array(addressRange),
      z
        .string()
        .transform((text) => text.split(/[ ,]+/).filter(Boolean))
        .pipe(z.array(addressRange)),
    ])
    .default([])
    .meta({ description: 'whose X-Forwarded-For is believed' }),
  rate_limits: z
    .union([
      z.literal('off'),
      z.strictObject({
        per_address: rateLimit.optional(),
        per_client: rateLimit.optional(),
        failures_per_address: rateLimit.optional(),
      }),
    ])
    .optional()
    .meta({ description: '`off` is for load tests' }),
  keys: z
    .strictObject({ rotation: duration.default(30 * 86_400), publish_ahead: duration.default(7 * 86_400) })
    .default({ rotation: 30 * 86_400, publish_ahead: 7 * 86_400 }),
  metrics: z
    .strictObject({
      port: z.coerce.number().int().min(0).max(65_535).optional(),
      host: z.string().default('127.0.0.1'),
      token: secret(16).optional(),
    })
    .optional()
    .meta({ description: 'a listener of its own (port), or /metrics on the main one behind a Bearer token (token)' }),
  log_level: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  shutdown_delay: duration.default(0).meta({ description: 'how long to stay up, not ready, before closing' }),
  allow_insecure_issuer: z
    .union([z.boolean(), z.stringbool()])
    .default(false)
    .meta({ description: 'lets an http issuer be more than a loopback' }),
})

export type Config = z.output<typeof configSchema>

/** For editors: `# yaml-language-server: $schema=...` completes the file. */
export function configJsonSchema(): object {
  return z.toJSONSchema(configSchema, { io: 'input', target: 'draft-2020-12', unrepresentable: 'any' })
}

function isIssuer(text: string): boolean {
  try {
    const url = new URL(text)
    return (
      /^https?:$/.test(url.protocol) &&
      url.search === '' &&
      url.hash === '' &&
      url.username === '' &&
      !/[?#\s]/.test(text)
    )
  } catch {
    return false
  }
}
