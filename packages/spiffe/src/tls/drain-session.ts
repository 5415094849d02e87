import type { ServerHttp2Session } from 'node:http2'

/**
 * Ends an HTTP/2 session without refusing any request: first a GOAWAY that takes whatever is still on its way, and only
 * later the one that takes no more (RFC 9113 section 6.8).
 */
export function drainSession(session: ServerHttp2Session): void {
  if (session.closed || session.destroyed) return
  session.goaway(0, 2 ** 31 - 1)
  setTimeout(() => {
    if (!session.closed && !session.destroyed) session.close()
  }, inFlightMilliseconds).unref()
}

/** Longer than a round trip. */
const inFlightMilliseconds = 1000
