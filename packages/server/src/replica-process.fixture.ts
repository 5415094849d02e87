// A replica as a process of its own, to be killed. Prints its URL and a client when it is ready.
import { startTestServer } from './server.fixture.ts'

const { DATABASE_URL: databaseUrl, MASTER_KEY: masterKey, ISSUER: issuer, CLIENT: clientId } = process.env
const server = await startTestServer({ databaseUrl, masterKey, issuer })
const client = clientId ? await server.addClient(clientId) : undefined
console.log(JSON.stringify({ url: server.url, client }))
