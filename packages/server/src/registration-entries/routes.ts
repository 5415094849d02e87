import { sql } from 'kysely'
import { z } from 'zod'
import { type AdminApp, type AdminContext, needs } from '../admin/admin-app.ts'
import { exactly, line } from '../admin/fields.ts'
import { decodeCursor, paged, pageOf, pageQuery } from '../admin/paging.ts'
import { conflictIs } from '../http/problem.ts'
import { trustDomainOf } from '../workload-identity.ts'
import { readEntryPatch, readSelector } from './check-entry.ts'
import { entry, entryPatch, newEntryBody, selector, viewEntry } from './entry-resource.ts'
import { createEntry, deleteEntry, findEntry, updateEntry } from './manage-entries.ts'

const tags = ['Registration entries']
const params = z.object({ id: z.string() })
const isThere = 'there is an entry with this spiffe_id, parent_id and selectors already'

export function entryRoutes(app: AdminApp, { authority }: AdminContext): void {
  const { store, now } = authority

  app.get(
    '/entries',
    {
      config: needs('entries:read'),
      schema: {
        tags,
        summary: 'List registration entries',
        querystring: exactly({
          ...pageQuery,
          spiffe_id: line(2048).optional(),
          parent_id: line(2048).optional(),
          selector: selector.optional().meta({ description: 'One that the entry has, such as `unix:uid:1000`' }),
        }),
        response: { 200: pageOf(entry) },
      },
    },
    async ({ query }) => {
      let rows = store.database
        .selectFrom('registration_entries')
        .selectAll()
        .orderBy('id')
        .limit(query.limit + 1)
      if (query.spiffe_id !== undefined) rows = rows.where('spiffe_id', '=', query.spiffe_id)
      if (query.parent_id !== undefined) rows = rows.where('parent_id', '=', query.parent_id)
      if (query.selector !== undefined) {
        // Within JSON a quote is escaped, so that one element's text is never found inside of another's.
        const element = JSON.stringify(readSelector(query.selector))
        const position = sql.raw(store.kind === 'postgres' ? 'strpos' : 'instr')
        rows = rows.where(sql<boolean>`${position}(selectors, ${element}) > 0`)
      }
      if (query.cursor !== undefined) rows = rows.where('id', '>', decodeCursor(query.cursor, ['string'])[0] as string)
      return paged(await rows.execute(), query, ({ id }) => [id], viewEntry)
    },
  )

  app.post(
    '/entries',
    {
      config: needs('entries:write'),
      schema: { tags, summary: 'Create a registration entry', body: newEntryBody, response: { 201: entry } },
    },
    async ({ body, administrator }, reply) => {
      const trustDomain = trustDomainOf(authority)
      const values = readEntryPatch(body, trustDomain, now()) as Parameters<typeof createEntry>[0]
      const row = await conflictIs(isThere, createEntry(values, trustDomain, authority, administrator))
      return reply.code(201).header('location', `/api/v1/entries/${row.id}`).send(viewEntry(row))
    },
  )

  app.get(
    '/entries/:id',
    {
      config: needs('entries:read'),
      schema: { tags, summary: 'See a registration entry', params, response: { 200: entry } },
    },
    async ({ params: { id } }) => viewEntry(await findEntry(store.database, id)),
  )

  app.patch(
    '/entries/:id',
    {
      config: needs('entries:write'),
      schema: {
        tags,
        summary: 'Change a registration entry',
        description: 'Agents ask for new SVIDs at once. Lists and the policy are replaced as a whole.',
        params,
        body: entryPatch,
        response: { 200: entry },
      },
    },
    async ({ params: { id }, body, administrator }) => {
      const trustDomain = trustDomainOf(authority)
      const values = readEntryPatch(body, trustDomain, now())
      return viewEntry(await conflictIs(isThere, updateEntry(id, values, trustDomain, authority, administrator)))
    },
  )

  app.delete(
    '/entries/:id',
    {
      config: needs('entries:write'),
      schema: {
        tags,
        summary: 'Delete a registration entry',
        description: 'Agents stop serving its SVIDs within seconds; those that are out live until they expire.',
        params,
      },
    },
    async ({ params: { id }, administrator }, reply) => {
      await deleteEntry(id, authority, administrator)
      return reply.code(204).send()
    },
  )
}
