import { existsSync } from 'node:fs'
import type { Config } from '@countersign/server'
import { wrongUse } from './cli-error.ts'

const defaultFile = 'countersign.yaml'

/** The file that `countersign server` would read; undefined where there is none. */
export function configFile(named: string | undefined): string | undefined {
  return named ?? process.env.COUNTERSIGN_CONFIG ?? (existsSync(defaultFile) ? defaultFile : undefined)
}

export function isConfigured(named: string | undefined): boolean {
  const settings = ['ISSUER', 'DATABASE_URL', 'MASTER_KEY', 'MASTER_KEY_FILE']
  return configFile(named) !== undefined || settings.some((name) => Boolean(process.env[`COUNTERSIGN_${name}`]))
}

/** The configuration as `countersign server` would find it. @throws ConfigError */
export async function readConfig(named: string | undefined): Promise<Config> {
  if (!isConfigured(named)) {
    throw wrongUse(
      'no server is configured here; name its configuration with --config FILE, or set COUNTERSIGN_ISSUER, COUNTERSIGN_DATABASE_URL and COUNTERSIGN_MASTER_KEY_FILE',
    )
  }
  const { loadConfig } = await import('@countersign/server')
  return loadConfig({ file: configFile(named), environment: process.env })
}
