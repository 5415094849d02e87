import type { IncomingMessage } from 'node:http'

/** What comes before the content of a request, as node:http reads it; gRPC's metadata is put into the same shape. */
export type RequestHead = Pick<IncomingMessage, 'method' | 'headers' | 'rawHeaders'>
