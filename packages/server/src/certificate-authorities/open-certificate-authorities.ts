import type { ChangeFeed } from '../storage/change-feed.ts'
import type { AuthorityContext } from './authority-context.ts'
import { authorityKinds } from './authority-context.ts'
import { CertificateAuthorities } from './certificate-authorities.ts'
import { ensureAuthority, tendAuthorities } from './tend-authorities.ts'

export interface OpenedCertificateAuthorities {
  readonly ca: CertificateAuthorities
  stop(): Promise<void>
}

/**
 * Makes the first authorities where there are none, reads them, and from then on does what is due in time.
 * @throws StoreError `unavailable` @throws CaUnavailable when the upstream CA cannot sign
 */
export async function openCertificateAuthorities(
  context: AuthorityContext,
  options: { feed: ChangeFeed; refreshHintSeconds?: number; onError?: (what: string, error: unknown) => void },
): Promise<OpenedCertificateAuthorities> {
  const { feed, onError, refreshHintSeconds } = options
  const { store, masterKey, trustDomain } = context
  for (const kind of authorityKinds) await ensureAuthority(kind, context)
  const ca = new CertificateAuthorities({
    store,
    feed,
    masterKey,
    trustDomain,
    ...(refreshHintSeconds !== undefined && { refreshHintSeconds }),
    onError: (error) => onError?.('reading the certificate authorities', error),
  })
  await ca.load()
  let tending: Promise<void> | undefined
  const timer = setInterval(() => {
    tending ??= tendAuthorities(context)
      .catch((error) => onError?.('tending the certificate authorities', error))
      .finally(() => {
        tending = undefined
      })
  }, tendMilliseconds(context))
  timer.unref()
  return {
    ca,
    async stop() {
      clearInterval(timer)
      await tending
    },
  }
}

/** Once a minute; CAs that live for minutes only, as in a trial, are looked after more often. */
function tendMilliseconds({ lifetimeSeconds, publishAheadSeconds }: AuthorityContext): number {
  return 1000 * Math.max(1, Math.min(60, publishAheadSeconds / 4, lifetimeSeconds / 40))
}
