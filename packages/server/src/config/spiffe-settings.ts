import { z } from 'zod'
import { longestSvidLifetimeSeconds } from '../registration-entries/registration-entry.ts'
import { duration, list, port, rateLimit, truth } from './setting-kinds.ts'

const day = 86_400

const cluster = z.strictObject({
  api_server: z
    .url({ protocol: /^https$/, error: 'must be an https URL' })
    .meta({ description: "the cluster's API server", examples: ['https://kubernetes.default.svc'] }),
  ca_file: z.string().meta({ description: 'PEM: whom to trust as the API server' }),
  token_file: z.string().meta({ description: 'a token that may create TokenReviews and get pods and nodes' }),
  service_accounts: list(z.string().regex(/^[^:]+:[^:]+$/, 'write namespace:name')).meta({
    description: 'the agents: namespace:name each',
    examples: [['countersign:agent']],
  }),
  audience: list(z.string().min(1)).default(['countersign-server']),
  node_labels: list(z.string().min(1)).default([]).meta({ description: 'labels of nodes that become selectors' }),
  pod_labels: list(z.string().min(1)).default([]).meta({ description: "labels of agents' pods that become selectors" }),
})

/** `spiffe:`. Workload identity is there when a trust domain is named, and not otherwise. */
export const spiffeSettings = z.strictObject({
  trust_domain: z
    .string()
    .regex(/^[a-z0-9._-]{1,255}$/, 'must be a trust domain name such as example.org: a-z 0-9 . - _')
    .meta({ description: 'the trust domain whose authority this server is', examples: ['example.org'] }),
  node_host: z.string().default('0.0.0.0').meta({ description: 'the address on which agents are served' }),
  node_port: port.default(8081),
  x509_svid_ttl: duration.default(3600).meta({ description: 'where an entry does not say' }),
  jwt_svid_ttl: duration.default(300).meta({ description: 'where an entry does not say' }),
  agent_svid_ttl: duration.default(3600),
  ca_lifetime: duration.default(90 * day).meta({ description: 'of a CA, and of a key that signs JWT-SVIDs' }),
  publish_ahead: duration
    .default(600)
    .meta({ description: 'how long, at least, a CA stands in the bundle before it signs' }),
  bundle_refresh_hint: duration
    .default(300)
    .meta({ description: 'how often other trust domains are asked to fetch the bundle' }),
  jwt_issuer: z.url().optional().meta({ description: 'the `iss` of JWT-SVIDs; none by default' }),
  upstream_ca: z
    .strictObject({ cert_file: z.string(), key_file: z.string(), bundle_file: z.string().optional() })
    .optional()
    .meta({
      description:
        'PEM files of a CA under which to make intermediates; bundle_file holds its root when it is none itself',
    }),
  node_attestors: z
    .strictObject({
      join_token: truth.default(true),
      x509pop: z
        .strictObject({ ca_file: z.string() })
        .optional()
        .meta({ description: 'PEM: agents with a certificate of these CAs may join' }),
      k8s_psat: z.strictObject({ clusters: z.record(z.string().regex(/^[A-Za-z0-9._-]{1,63}$/), cluster) }).optional(),
    })
    .prefault({}),
  bundle_endpoint: z
    .strictObject({ host: z.string().default('0.0.0.0'), port })
    .optional()
    .meta({ description: 'a port of its own on which the bundle is served with our own SVID (https_spiffe)' }),
  node_limits: z
    .union([
      z.literal('off'),
      z.strictObject({
        attestations_per_address: rateLimit.optional(),
        calls_per_node: rateLimit.optional(),
        svids_per_node: rateLimit.optional(),
      }),
    ])
    .optional(),
})

const shortestSvidSeconds = 5

/** What parses and still must not run. */
export function unsafeSpiffeSettings(spiffe: z.output<typeof spiffeSettings>): string[] {
  const unsafe: string[] = []
  for (const name of ['x509_svid_ttl', 'jwt_svid_ttl', 'agent_svid_ttl'] as const) {
    if (spiffe[name] < shortestSvidSeconds) unsafe.push(`spiffe.${name} must be at least ${shortestSvidSeconds}s`)
    else if (spiffe[name] > spiffe.ca_lifetime / 2) {
      unsafe.push(`spiffe.${name} must be at most half of spiffe.ca_lifetime: no SVID outlives its CA`)
    } else if (spiffe[name] > longestSvidLifetimeSeconds) {
      unsafe.push(`spiffe.${name} must be at most ${longestSvidLifetimeSeconds / day}d`)
    }
  }
  if (spiffe.publish_ahead < shortestSvidSeconds) {
    unsafe.push(`spiffe.publish_ahead must be at least ${shortestSvidSeconds}s: agents ask for the bundle that often`)
  }
  if (spiffe.publish_ahead > spiffe.ca_lifetime / 3) {
    unsafe.push('spiffe.publish_ahead must be at most a third of spiffe.ca_lifetime, or a CA would end before the next')
  }
  return unsafe
}
