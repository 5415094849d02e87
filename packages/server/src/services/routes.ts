import { z } from 'zod'
import { type AdminApp, type AdminContext, needs } from '../admin/admin-app.ts'
import { exactly } from '../admin/fields.ts'
import { decodeCursor, paged, pageOf, pageQuery } from '../admin/paging.ts'
import { addServiceKey, findService, removeServiceKey, setService, unregisterService } from './manage-services.ts'
import { checkServiceKey, checkServiceKeys, newServiceKey, service, serviceKeys, viewService } from './service.ts'

const tags = ['Services']
const params = z.object({ name: z.string().meta({ description: 'Such as `order`; `order-service` is the same' }) })
const onlyEd25519 = 'Public Ed25519 keys only. Each gets its RFC 7638 thumbprint as its kid.'

export function serviceRoutes(app: AdminApp, { authority }: AdminContext): void {
  const { database } = authority.store

  app.get(
    '/services',
    {
      config: needs('services:read'),
      schema: {
        tags,
        summary: 'List services',
        querystring: exactly(pageQuery),
        response: { 200: pageOf(service) },
      },
    },
    async ({ query }) => {
      let rows = database
        .selectFrom('services')
        .selectAll()
        .orderBy('name')
        .limit(query.limit + 1)
      if (query.cursor !== undefined) {
        rows = rows.where('name', '>', decodeCursor(query.cursor, ['string'])[0] as string)
      }
      return paged(await rows.execute(), query, ({ name }) => [name], viewService)
    },
  )

  app.get(
    '/services/:name',
    { config: needs('services:read'), schema: { tags, summary: 'See a service', params, response: { 200: service } } },
    async ({ params: { name } }) => viewService(await findService(database, name)),
  )

  app.put(
    '/services/:name',
    {
      config: needs('services:write'),
      schema: {
        tags,
        summary: 'Register a service, or replace its keys',
        description: onlyEd25519,
        params,
        body: serviceKeys,
        response: { 200: service, 201: service },
      },
    },
    async ({ params: { name }, body, administrator }, reply) => {
      const { row, isNew } = await setService(name, checkServiceKeys(body), authority, administrator)
      if (isNew) reply.code(201).header('location', `/api/v1/services/${row.name}`)
      return reply.send(viewService(row))
    },
  )

  app.delete(
    '/services/:name',
    { config: needs('services:write'), schema: { tags, summary: 'Unregister a service', params } },
    async ({ params: { name }, administrator }, reply) => {
      await unregisterService(name, authority, administrator)
      return reply.code(204).send()
    },
  )

  app.post(
    '/services/:name/keys',
    {
      config: needs('services:write'),
      schema: {
        tags,
        summary: 'Add a key to a service',
        description: `The keys that it has stay, so that a rotation may overlap. ${onlyEd25519}`,
        params,
        body: newServiceKey,
        response: { 201: service },
      },
    },
    async ({ params: { name }, body, administrator }, reply) => {
      const key = checkServiceKey(body.jwk, 'jwk')
      const row = await addServiceKey(name, key, authority, administrator)
      return reply.code(201).header('location', `/api/v1/services/${row.name}/keys/${key.kid}`).send(viewService(row))
    },
  )

  app.delete(
    '/services/:name/keys/:kid',
    {
      config: needs('services:write'),
      schema: { tags, summary: 'Remove a key of a service', params: params.extend({ kid: z.string() }) },
    },
    async ({ params: { name, kid }, administrator }, reply) => {
      await removeServiceKey(name, kid, authority, administrator)
      return reply.code(204).send()
    },
  )
}
