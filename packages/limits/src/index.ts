export { createAddressList, normaliseAddress } from './address.ts'
export { addressKey } from './address-key.ts'
export { type AddressedRequest, type ClientAddressRules, createClientAddress } from './client-address.ts'
export { type ConnectedRedis, connectRedis, type RedisConnectionOptions } from './connect-redis.ts'
export { LimitsError, type LimitsErrorCode } from './limits-error.ts'
export {
  createMemoryRateLimiter,
  type MemoryRateLimiter,
  type MemoryRateLimiterOptions,
} from './memory-rate-limiter.ts'
export { createMemorySingleUse, type MemorySingleUse, type MemorySingleUseOptions } from './memory-single-use.ts'
export type { LimitDecision, RateLimit, RateLimiter } from './rate-limit.ts'
export { rateLimitHeaders } from './rate-limit-headers.ts'
export type { RedisClient } from './redis-client.ts'
export { redisMayEvict } from './redis-eviction.ts'
export { createRedisRateLimiter, type RedisRateLimiter, type RedisRateLimiterOptions } from './redis-rate-limiter.ts'
export { createRedisSingleUse, type RedisSingleUse, type RedisSingleUseOptions } from './redis-single-use.ts'
export type { SingleUse, UseOutcome } from './single-use.ts'
