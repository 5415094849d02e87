import { z } from 'zod'
import { type AdminApp, type AdminContext, needs } from '../admin/admin-app.ts'
import { actorOf } from '../admin/administrator.ts'
import { exactly, time, toTime, toTimeOrNull } from '../admin/fields.ts'
import { decodeCursor, paged, pageOf, pageQuery } from '../admin/paging.ts'
import type { Authority } from '../authority.ts'
import { Problem } from '../http/problem.ts'
import type { SigningKeyRow } from '../storage/tables.ts'
import { revokeSigningKey, rotateSigningKey } from './lifecycle.ts'

const tags = ['Signing keys']
const algorithm = z.enum(['ES256', 'RS256', 'EdDSA'])
const status = z.enum(['next', 'active', 'retired', 'revoked'])

const signingKey = z.object({
  kid: z.string(),
  algorithm,
  status,
  created_at: time,
  activated_at: time.nullable(),
  retired_at: time.nullable(),
  revoked_at: time.nullable(),
  public_jwk: z.record(z.string(), z.string()),
})

export function signingKeyRoutes(app: AdminApp, { authority }: AdminContext): void {
  const { database } = authority.store

  app.get(
    '/signing-keys',
    {
      config: needs('keys:read'),
      schema: {
        tags,
        summary: 'List signing keys',
        querystring: exactly(pageQuery),
        response: { 200: pageOf(signingKey) },
      },
    },
    async ({ query }) => {
      let rows = database
        .selectFrom('signing_keys')
        .selectAll()
        .orderBy('kid')
        .limit(query.limit + 1)
      if (query.cursor !== undefined) rows = rows.where('kid', '>', decodeCursor(query.cursor, ['string'])[0] as string)
      return paged(await rows.execute(), query, ({ kid }) => [kid], viewKey)
    },
  )

  app.post(
    '/signing-keys/rotate',
    {
      config: needs('keys:write'),
      schema: {
        tags,
        summary: 'Let the next key sign from now on',
        description: 'The present one stays published while its tokens live.',
        body: exactly({ algorithm }),
        response: { 200: signingKey },
      },
    },
    async ({ body, administrator }) => {
      const kid = await rotateSigningKey(body.algorithm, authority.keys, actorOf(administrator))
      return settled(kid, authority)
    },
  )

  app.post(
    '/signing-keys/:kid/revoke',
    {
      config: needs('keys:write'),
      schema: {
        tags,
        summary: 'Withdraw a key at once, and every token it signed',
        params: z.object({ kid: z.string() }),
        body: exactly({}),
        response: { 200: signingKey },
      },
    },
    async ({ params: { kid }, administrator }) => {
      if (!(await find(kid, authority))) throw noSuchKey()
      // False: it was revoked already, which is what was asked for.
      await revokeSigningKey(kid, authority.keys, actorOf(administrator))
      return settled(kid, authority)
    },
  )
}

/** The key as it is now, once this replica signs and verifies by it. */
async function settled(kid: string, authority: Authority): Promise<z.infer<typeof signingKey>> {
  await authority.feed.catchUp()
  await authority.keyRing.load()
  const row = await find(kid, authority)
  if (!row) throw noSuchKey()
  return viewKey(row)
}

async function find(kid: string, { store }: Authority): Promise<SigningKeyRow | undefined> {
  if (!/^[A-Za-z0-9_-]{1,128}$/.test(kid)) return undefined
  return store.database.selectFrom('signing_keys').selectAll().where('kid', '=', kid).executeTakeFirst()
}

function noSuchKey(): Problem {
  return new Problem(404, 'not_found', 'there is no signing key with this kid')
}

function viewKey(row: SigningKeyRow): z.infer<typeof signingKey> {
  return {
    kid: row.kid,
    algorithm: algorithm.parse(row.algorithm),
    status: status.parse(row.status),
    created_at: toTime(row.created_at),
    activated_at: toTimeOrNull(row.activated_at),
    retired_at: toTimeOrNull(row.retired_at),
    revoked_at: toTimeOrNull(row.revoked_at),
    public_jwk: JSON.parse(row.public_jwk),
  }
}
