import { hash } from 'node:crypto'
import { type Bundle, formatBundleDocument } from '@countersign/spiffe'
import type { FastifyInstance } from 'fastify'
import type { Authority } from '../authority.ts'
import { type KeySet, sendKeySet } from '../http/key-set.ts'
import { Problem } from '../http/problem.ts'

/** The trust domain's bundle for whoever verifies its SVIDs; open to anybody (SPIFFE Federation, section 5). */
export function bundleRoute(app: FastifyInstance, { workloadIdentity }: Pick<Authority, 'workloadIdentity'>): void {
  const bundleOf = bundleDocuments()
  app.get('/spiffe/bundle', async (request, reply) => {
    if (!workloadIdentity) {
      throw new Problem(
        404,
        'not_found',
        'this server has no trust domain; name one in its settings: spiffe.trust_domain',
      )
    }
    return sendKeySet(request, reply, bundleOf(workloadIdentity.ca.bundle()))
  })
}

/** Written once for each bundle, however often it is asked for. */
export function bundleDocuments(): (bundle: Bundle) => KeySet {
  let [of, document]: [Bundle?, KeySet?] = []
  return (bundle) => {
    if (document && of === bundle) return document
    const text = formatBundleDocument(bundle)
    of = bundle
    document = {
      text,
      etag: `"${hash('sha256', text).slice(0, 32)}"`,
      maximumAgeSeconds: Math.min(300, bundle.refreshHintSeconds ?? 300),
    }
    return document
  }
}
