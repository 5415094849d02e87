export interface Stage {
  /** Such as `NODE_ENV=test`; empty where nothing says which stage this is. */
  readonly named: string
  /** Staging counts as production, and so does a stage that nothing names. */
  readonly isProduction: boolean
}

/** Where a service runs, by SERVICE_ENV, or without it by NODE_ENV. Rules that protect hold in production. */
export function stageOf(environment: Readonly<Record<string, string | undefined>>): Stage {
  const variable = ['SERVICE_ENV', 'NODE_ENV'].find((name) => (environment[name] ?? '').trim() !== '')
  if (variable === undefined) return { named: '', isProduction: true }
  const value = environment[variable]!.trim()
  return { named: `${variable}=${value}`, isProduction: productionStages.includes(value.toLowerCase()) }
}

const productionStages = ['staging', 'stage', 'production', 'prod']
