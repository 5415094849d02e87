import { loadConfig, startServer } from '@countersign/server'
import pino from 'pino'

const config = loadConfig({
  environment: {
    COUNTERSIGN_ISSUER: 'http://localhost:45085/', COUNTERSIGN_PORT: '45085',
    COUNTERSIGN_DATABASE_URL: 'sqlite:countersign.db',
    COUNTERSIGN_MASTER_KEY: process.env.COUNTERSIGN_MASTER_KEY,
    COUNTERSIGN_ADMIN_CLIENT_SECRET: process.env.COUNTERSIGN_ADMIN_CLIENT_SECRET,
  },
})
const server = await startServer(config, pino({ level: 'warn' }))
console.log(`listening at ${server.url}`)
process.once('SIGTERM', () => server.close())
