import { afterEach, expect, it } from 'vitest'
import { startTestServer, type TestClient, type TestServer } from '../server.fixture.ts'

let server: TestServer | undefined
afterEach(() => server?.close())

const lastUses = () =>
  server!.authority.store.database.selectFrom('client_secrets').select(['id', 'last_used_at']).orderBy('id').execute()

it('writes when each of many secrets was last used, later and together, never backwards', async () => {
  server = await startTestServer()
  const { authority } = server
  const clients: TestClient[] = []
  const startedAt = performance.now()
  for (let index = 0; index < 20; index += 1) clients.push(await server.addClient(`svc-${index}`))
  await Promise.all(clients.map((client) => server!.token(client)))
  const uses = await lastUses()
  // On a machine so busy that ten seconds have gone, they are written by themselves.
  if (performance.now() - startedAt < 9_000) expect(uses.every(({ last_used_at }) => last_used_at === null)).toBe(true)
  await authority.credentialUse.write()
  const written = await lastUses()
  expect(written.every(({ last_used_at }) => Math.abs((last_used_at ?? 0) - authority.now()) < 5)).toBe(true)

  const later = authority.now() + 1000
  await authority.store.database.updateTable('client_secrets').set({ last_used_at: later }).execute()
  await server.token(clients[0]!)
  await authority.credentialUse.write()
  expect((await lastUses()).every(({ last_used_at }) => last_used_at === later)).toBe(true)
})
