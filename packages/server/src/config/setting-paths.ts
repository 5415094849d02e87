import { closest, distance } from 'fastest-levenshtein'
import { z } from 'zod'
import { configSchema } from './config-schema.ts'

/** Every setting there is, as `admin.client_secret`: for suggestions and for the names of environment variables. */
export const settingPaths: readonly string[] = pathsOf(configSchema, '')

/** With what holds them: somebody may have misspelt `rate_limits.per_address` itself. */
const settingNames = [...new Set(settingPaths.flatMap((path) => [path, ...holders(path)]))]

/** `; did you mean "x"?` where a name is close enough to one there is, else nothing. */
export function nearestSetting(name: string): string {
  const nearest = closest(name, settingNames)
  return distance(name, nearest) <= Math.max(2, name.length / 3) ? `; did you mean "${nearest}"?` : ''
}

export function variableName(path: readonly PropertyKey[]): string {
  return `COUNTERSIGN_${path.join('_').toUpperCase()}`
}

function holders(path: string): string[] {
  const parts = path.split('.')
  return parts.slice(1).map((_part, index) => parts.slice(0, index + 1).join('.'))
}

function pathsOf(schema: z.ZodType, prefix: string): string[] {
  const inner = unwrap(schema)
  if (inner instanceof z.ZodUnion)
    return (inner.options as z.ZodType[]).flatMap((option) => pathsOf(option, prefix)).concat(prefix || [])
  if (!(inner instanceof z.ZodObject)) return prefix === '' ? [] : [prefix]
  return Object.entries(inner.shape as Record<string, z.ZodType>).flatMap(([name, member]) =>
    pathsOf(member, prefix === '' ? name : `${prefix}.${name}`),
  )
}

function unwrap(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault)
    return unwrap(schema.unwrap() as z.ZodType)
  return schema
}
