import { z } from 'zod'
import { masterKeyFault } from '../sealing/master-key.ts'
import { mtlsSettings } from './mtls-settings.ts'
import { addressRange, duration, list, pemFiles, port, rateLimit, truth } from './setting-kinds.ts'
import { spiffeSettings } from './spiffe-settings.ts'

const secret = (minimumLength: number) =>
  z.string().min(minimumLength, `must have at least ${minimumLength} characters`)

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
  port: port.default(8080),
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
  tls: pemFiles.optional().meta({ description: 'PEM files; read again when they change' }),
  mtls: mtlsSettings.optional().meta({ description: 'client certificates' }),
  spiffe: spiffeSettings.optional().meta({ description: 'workload identity' }),
  trusted_proxies: list(addressRange).default([]).meta({ description: 'whose X-Forwarded-For is believed' }),
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
      port: port.optional(),
      host: z.string().default('127.0.0.1'),
      token: secret(16).optional(),
    })
    .optional()
    .meta({ description: 'a listener of its own (port), or /metrics on the main one behind a Bearer token (token)' }),
  log_level: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  shutdown_delay: duration.default(0).meta({ description: 'how long to stay up, not ready, before closing' }),
  allow_insecure_issuer: truth.default(false).meta({ description: 'lets an http issuer be more than a loopback' }),
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
