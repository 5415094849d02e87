/** The tenant that calls are made for; a function is asked for each call (each send, with Kafka). */
export type TenantOption = string | (() => string | undefined)

export function currentTenant(tenant: TenantOption | undefined): string | undefined {
  return typeof tenant === 'function' ? tenant() : tenant
}
