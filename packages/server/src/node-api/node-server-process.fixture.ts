// A server with its node API as a process of its own, to be killed. Prints what a client needs when it is ready.
import { startTestNodeServer } from './node-api.fixture.ts'

const { DATABASE_URL: databaseUrl, MASTER_KEY: masterKey } = process.env
const server = await startTestNodeServer({ databaseUrl, masterKey, issuer: 'http://localhost:1/' })
console.log(
  JSON.stringify({ address: server.address, roots: server.roots().toString(), token: await server.joinToken() }),
)
