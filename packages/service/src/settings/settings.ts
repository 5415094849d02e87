import { stageOf } from '@countersign/guard'
import { z } from 'zod'
import { ServiceError } from '../service-error.ts'

/** What the kit itself reads from the environment; names, keys and lists of service tokens are read by client and guard. */
export interface ServiceSettings {
  /** `SERVICE_SHORT_NAME`, as it stands there. */
  readonly name: string | undefined
  /** `HTTP_PORT`, default 3000; 0 takes any that is free. */
  readonly httpPort: number
  /** `HTTP_HOST`, default 0.0.0.0. */
  readonly httpHost: string
  /** `GRPC_PORT`, default 50051; 0 takes any that is free. */
  readonly grpcPort: number
  /** `GRPC_HOST`, default as `HTTP_HOST`. */
  readonly grpcHost: string
  /** `KAFKA_BROKERS`: `host:port`, separated by commas. */
  readonly kafkaBrokers: readonly string[]
  /** `KAFKA_GROUP`, default the service's full name. */
  readonly kafkaGroup: string | undefined
  /** `SERVICE_URL`: where other services are, with `$service`. */
  readonly serviceUrl: string | undefined
  /** `SERVICE_URLS`: services that are elsewhere, `inventory=https://stock.example,order=...`. */
  readonly serviceUrls: Readonly<Record<string, string>>
  /** `REDIS_URL`: remembers used tokens for every replica. */
  readonly redisUrl: string | undefined
  /** `JWKS_URL`: where the keys of other services are, with `$service`. */
  readonly jwksUrl: string | undefined
  /** `M2M_PROFILE`: what this service signs, `m2m` or, until its receivers have moved, `md5`. */
  readonly profile: 'm2m' | 'md5'
  /** `M2M_ACCEPT_MD5`: takes tokens of the md5 profile also, as long as senders use it. */
  readonly acceptMd5: boolean
  /** `M2M_MD5_BASE`: the URL that senders of the md5 profile hash before the path. */
  readonly md5Base: string | undefined
  /** `ACTION_TIMEOUT`: seconds that a call to another service may take, default 10. */
  readonly actionSeconds: number
  /** `MAX_BODY`: bytes of a request, default 1 MiB. */
  readonly maximumBody: number
  /** `MOUNTED_AT`: the prefix that a proxy in front takes off the path. */
  readonly mountedAt: string | undefined
  /** `SESSION_ISSUERS` and `SESSION_AUDIENCE`: whose tokens make sessions. */
  readonly sessionIssuers: readonly string[]
  readonly sessionAudiences: readonly string[]
  /** `SESSION_COOKIE`: the cookie that may hold the session's token, default `session`. */
  readonly sessionCookie: string
  /** `SESSION_ORIGINS`: other origins whose pages may call with the session's cookie. */
  readonly sessionOrigins: readonly string[]
  /** `TENANT_HEADER`, default `x-tenant-id`. */
  readonly tenantHeader: string
  /** `TENANT_HOST`: the service's host name with `$tenant` as one label, such as `$tenant.shop.example`. */
  readonly tenantHost: string | undefined
  /** `API_CALL_ORIGINS`: where an ApiCallAction may go whose URL comes from the context. */
  readonly apiCallOrigins: readonly string[]
  /** `UNSIGNED_ORIGINS`: where an ApiCallAction goes without a service token. */
  readonly unsignedOrigins: readonly string[]
  /** `METRICS_TOKEN`: whoever reads /metrics must bear it. */
  readonly metricsToken: string | undefined
  /** `LOG_LEVEL`, default info. */
  readonly logLevel: string
  /** `STOP_TIMEOUT`: seconds that calls in flight get to end, default 30. */
  readonly stopSeconds: number
  /** True in staging, in production, and where nothing says which it is. */
  readonly isProduction: boolean
}

/** Such as process.env. */
export type Environment = Readonly<Record<string, string | undefined>>

/** Reads all settings at once. Throws ServiceError `invalid_environment`, naming every variable at fault. */
export function readSettings(environment: Environment): ServiceSettings {
  const given = Object.fromEntries(Object.entries(environment).filter(([, text]) => text !== undefined && text !== ''))
  const read = variables.safeParse(given)
  if (!read.success) {
    const faults = read.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
    throw new ServiceError('invalid_environment', `the environment cannot be used: ${faults.join('; ')}`)
  }
  const { data } = read
  return {
    name: data.SERVICE_SHORT_NAME,
    httpPort: data.HTTP_PORT,
    httpHost: data.HTTP_HOST,
    grpcPort: data.GRPC_PORT,
    grpcHost: data.GRPC_HOST ?? data.HTTP_HOST,
    kafkaBrokers: data.KAFKA_BROKERS,
    kafkaGroup: data.KAFKA_GROUP,
    serviceUrl: data.SERVICE_URL,
    serviceUrls: data.SERVICE_URLS,
    redisUrl: data.REDIS_URL,
    jwksUrl: data.JWKS_URL,
    profile: data.M2M_PROFILE,
    acceptMd5: data.M2M_ACCEPT_MD5 === 'true',
    md5Base: data.M2M_MD5_BASE,
    actionSeconds: data.ACTION_TIMEOUT,
    maximumBody: data.MAX_BODY,
    mountedAt: data.MOUNTED_AT,
    sessionIssuers: data.SESSION_ISSUERS,
    sessionAudiences: data.SESSION_AUDIENCE,
    sessionCookie: data.SESSION_COOKIE,
    sessionOrigins: data.SESSION_ORIGINS,
    tenantHeader: data.TENANT_HEADER,
    tenantHost: data.TENANT_HOST,
    apiCallOrigins: data.API_CALL_ORIGINS,
    unsignedOrigins: data.UNSIGNED_ORIGINS,
    metricsToken: data.METRICS_TOKEN,
    logLevel: data.LOG_LEVEL,
    stopSeconds: data.STOP_TIMEOUT,
    isProduction: stageOf(environment).isProduction,
  }
}

const port = z
  .string()
  .regex(/^\d{1,5}$/, 'is not a port, a number from 0 to 65535')
  .transform(Number)
  .refine((number) => number <= 65_535, 'is not a port, a number from 0 to 65535')
const list = z.string().transform(itemsOf)
const origins = list.refine((items) => items.every(isOrigin), 'is not a list of origins such as https://shop.example')
const brokers = list.refine(
  (items) => items.every((item) => /^[^\s/]+:\d{1,5}$/.test(item)),
  'is not a list of host:port',
)
const wholeNumber = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d{1,12}$/, `is not a whole number from ${least} to ${most}`)
    .transform(Number)
    .refine((number) => number >= least && number <= most, `is not a whole number from ${least} to ${most}`)
const serviceUrls = list
  .refine(
    (items) => items.every((item) => /^[^=]+=https?:/.test(item)),
    'is not a list such as inventory=https://stock.example',
  )
  .transform((items) =>
    Object.fromEntries(items.map((item) => [item.slice(0, item.indexOf('=')), item.slice(item.indexOf('=') + 1)])),
  )
const token = z.string().regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, 'is not a name that can stand in a header')

const variables = z.object({
  SERVICE_SHORT_NAME: z.string().optional(),
  HTTP_PORT: port.default(3000),
  HTTP_HOST: z.string().default('0.0.0.0'),
  GRPC_PORT: port.default(50_051),
  GRPC_HOST: z.string().optional(),
  KAFKA_BROKERS: brokers.default([]),
  KAFKA_GROUP: z.string().optional(),
  SERVICE_URL: z.string().optional(),
  SERVICE_URLS: serviceUrls.default({}),
  M2M_PROFILE: z.enum(['m2m', 'md5']).default('m2m'),
  M2M_ACCEPT_MD5: z.enum(['true', 'false']).default('false'),
  M2M_MD5_BASE: z.url().optional(),
  ACTION_TIMEOUT: wholeNumber(1, 600).default(10),
  REDIS_URL: z
    .string()
    .refine((url) => /^rediss?:\/\//.test(url) && URL.canParse(url), 'is not an address such as redis://redis:6379')
    .optional(),
  JWKS_URL: z.string().optional(),
  MAX_BODY: wholeNumber(0, 1_073_741_824).default(1024 * 1024),
  MOUNTED_AT: z
    .string()
    .regex(/^(\/[^/?#]+)+$/, 'is not a path such as /orders, without a slash at its end')
    .optional(),
  SESSION_ISSUERS: list.default([]),
  SESSION_AUDIENCE: list.default([]),
  SESSION_COOKIE: token.default('session'),
  SESSION_ORIGINS: origins.default([]),
  TENANT_HEADER: token.transform((name) => name.toLowerCase()).default('x-tenant-id'),
  TENANT_HOST: z
    .string()
    .transform((host) => host.toLowerCase())
    .refine(
      (host) => /^([a-z0-9-]+\.)*\$tenant(\.[a-z0-9-]+)*$/.test(host),
      'is not a host name with one label $tenant',
    )
    .optional(),
  API_CALL_ORIGINS: origins.default([]),
  UNSIGNED_ORIGINS: origins.default([]),
  METRICS_TOKEN: z.string().optional(),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  STOP_TIMEOUT: wholeNumber(0, 3_600).default(30),
})

function isOrigin(text: string): boolean {
  return URL.parse(text)?.origin === text && /^https?:/.test(text)
}

/** Separated by commas; empty ones do not count. */
export function itemsOf(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}
