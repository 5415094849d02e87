import { createTokenSource } from './access-token.ts'
import { withCure } from './admin-cures.ts'
import { type Connection, type ConnectionOptions, findConnection } from './connection.ts'
import type { Page } from './output.ts'
import { reach } from './reach.ts'
import { readAnswer } from './server-answer.ts'

export const adminAudience = 'urn:countersign:admin'

type Query = Record<string, string | undefined>

export interface ListOptions {
  /** How many at most, over as many pages as that takes */
  limit?: number
  cursor?: string
  query?: Query
}

/** The admin API as the client of the connection. Paths are relative to `/api/v1`; refusals are CliErrors. */
export interface AdminApi {
  readonly connection: Connection
  get<Result>(path: string, query?: Query): Promise<Result>
  send<Result>(method: 'POST' | 'PATCH' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<Result>
  /** Follows cursors up to `limit`; `next` goes on where it stopped. */
  list<Item>(path: string, options?: ListOptions): Promise<Page<Item>>
  /** Every item, page by page, without holding them all. */
  each<Item>(path: string, options?: ListOptions): AsyncGenerator<Item>
  /** An answer that is still being written. */
  stream(path: string, query: Query, headers: Record<string, string>, signal?: AbortSignal): Promise<Response>
}

const largestPage = 200

/** Runs `work` with the admin API and lets go of it afterwards. */
export async function withAdminApi<Result>(
  options: ConnectionOptions,
  work: (admin: AdminApi) => Promise<Result>,
): Promise<Result> {
  const connection = await findConnection(options)
  const tokens = await createTokenSource(connection)
  try {
    return await work(
      createAdminApi(connection, async () => (await tokens.token({ audience: adminAudience })).accessToken),
    )
  } finally {
    tokens.close()
  }
}

export function createAdminApi(connection: Connection, accessToken: () => Promise<string>): AdminApi {
  async function request(
    method: string,
    path: string,
    init: {
      query?: Query
      body?: unknown
      headers?: Record<string, string>
      signal?: AbortSignal
      timeoutMilliseconds?: number
    },
  ) {
    const url = `${connection.url}/api/v1${path}${queryText(init.query ?? {})}`
    const hasBody = init.body !== undefined
    const headers = {
      authorization: `Bearer ${await accessToken()}`,
      ...(hasBody && { 'content-type': 'application/json' }),
      ...init.headers,
    }
    const { signal, timeoutMilliseconds } = init
    const response = await reach(url, {
      method,
      headers,
      body: hasBody ? JSON.stringify(init.body) : undefined,
      signal,
      timeoutMilliseconds,
    })
    return { response, url }
  }

  async function call<Result>(
    method: string,
    path: string,
    init: { query?: Query; body?: unknown } = {},
  ): Promise<Result> {
    const { response, url } = await request(method, path, init)
    return (await withCure(path, readAnswer(response, url))) as Result
  }

  async function* pages<Item>(path: string, { limit = Number.POSITIVE_INFINITY, cursor, query }: ListOptions) {
    let left = limit
    let next = cursor
    do {
      const size = String(Math.min(left, largestPage))
      const page = await call<Page<Item>>('GET', path, { query: { ...query, limit: size, cursor: next } })
      yield page
      left -= page.items.length
      next = page.next ?? undefined
    } while (next !== undefined && left > 0)
  }

  return {
    connection,
    get: (path, query) => call('GET', path, { query }),
    send: (method, path, body) => call(method, path, { body }),
    async list<Item>(path: string, options: ListOptions = {}) {
      const all: { items: Item[]; next: string | null } = { items: [], next: null }
      for await (const { items, next, ...more } of pages<Item>(path, options)) {
        all.items.push(...items)
        Object.assign(all, more, { next })
      }
      return all
    },
    async *each<Item>(path: string, options: ListOptions = {}) {
      for await (const { items } of pages<Item>(path, options)) yield* items
    },
    async stream(path, query, headers, signal) {
      const { response, url } = await request('GET', path, { query, headers, signal, timeoutMilliseconds: 0 })
      if (!response.ok) await withCure(path, readAnswer(response, url))
      return response
    },
  }
}

/** A path of fixed words and names that anybody may have chosen: `` path`/apis/${audience}` ``. */
export function path(words: TemplateStringsArray, ...names: readonly string[]): string {
  return words.reduce((text, word, index) => `${text}${encodeURIComponent(names[index - 1]!)}${word}`)
}

function queryText(query: Query): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`
}
