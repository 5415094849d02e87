export type { FastifyInstance as App } from 'fastify'
export { ensureAdminClient } from './admin/ensure-admin-client.ts'
export { createApi, type NewApi } from './apis/manage-apis.ts'
export type { AuditEvent, AuditFact, AuditHead, ChainedEvent } from './audit/event.ts'
export { type ExportedEvent, exportEvents, exportHeads } from './audit/export.ts'
export {
  type AuditEvidence,
  type BrokenPlace,
  type BrokenPlaceProblem,
  type ChainVerdict,
  verifyChains,
} from './audit/verify.ts'
export { type Authority, type AuthoritySettings, openAuthority } from './authority.ts'
export { createClient, type NewClient } from './clients/manage-clients.ts'
export { setGrant } from './clients/manage-grants.ts'
export { addClientSecret } from './clients/manage-secrets.ts'
export { type Config, configJsonSchema } from './config/config-schema.ts'
export { ConfigError, loadConfig } from './config/load-config.ts'
export { type AppOptions, buildApp } from './http/app.ts'
export { type RunningServer, runServer, startServer } from './program/run-server.ts'
export { connectRedis, type RedisConnection } from './redis/connect-redis.ts'
export { createEntry } from './registration-entries/manage-entries.ts'
export { createMasterKey, generateMasterKey, type MasterKey } from './sealing/master-key.ts'
export { type BackupSummary, backupStore } from './storage/backup.ts'
export { openStore } from './storage/open.ts'
export { type RestoreOptions, type RestoreSummary, restoreStore } from './storage/restore.ts'
export { type Store, StoreError } from './storage/store.ts'
export { defaultTokenLimits } from './token-endpoint/token-limits.ts'
