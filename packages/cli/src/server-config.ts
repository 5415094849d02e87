import { existsSync } from 'node:fs'
import type { Config } from '@countersign/server'

const defaultFile = 'countersign.yaml'

/** The file that `countersign server` would read; undefined where there is none. */
export function configFile(named: string | undefined): string | undefined {
  return named ?? process.env.COUNTERSIGN_CONFIG ?? (existsSync(defaultFile) ? defaultFile : undefined)
}

/** The configuration as `countersign server` would find it. @throws ConfigError */
export async function readConfig(named: string | undefined): Promise<Config> {
  const { loadConfig } = await import('@countersign/server')
  return loadConfig({ file: configFile(named), environment: process.env })
}
