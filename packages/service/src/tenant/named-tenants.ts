import { Problem } from '../problem.ts'
import type { RequestHead } from '../request-head.ts'

export interface TenantNames {
  /** Lower case. */
  readonly header: string
  /** `$tenant.shop.example` */
  readonly host: string | undefined
}

/** The tenants that a request's header and host name. Throws Problem 400 `malformed_tenant`. */
export function namedTenants(request: RequestHead, { header, host }: TenantNames): readonly string[] {
  const { headers, rawHeaders } = request
  const values = rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]!.toLowerCase() === header)
  const ofHost = host === undefined ? undefined : tenantOfHost(headers.host ?? '', host)
  return [...values, ...(ofHost === undefined ? [] : [ofHost])].map(checkedTenant)
}

/** Throws Problem 400 `malformed_tenant` for what is no tenant's name. */
export function checkedTenant(name: string): string {
  if (tenantName.test(name)) return name
  throw new Problem(400, 'malformed_tenant', 'a tenant is named by 1 to 128 of the characters A-Z a-z 0-9 . _ -')
}

const tenantName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/

function tenantOfHost(authority: string, template: string): string | undefined {
  const host = authority.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '')
  const [before = '', after = ''] = template.split('$tenant')
  if (!host.startsWith(before) || !host.endsWith(after)) return undefined
  const tenant = host.slice(before.length, host.length - after.length)
  return tenant === '' || tenant.includes('.') ? undefined : tenant
}
