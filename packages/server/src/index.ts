export { connectRedis, type RedisConnection } from './redis/connect-redis.ts'
export { type BackupSummary, backupStore } from './storage/backup.ts'
export { type RestoreOptions, type RestoreSummary, restoreStore } from './storage/restore.ts'
