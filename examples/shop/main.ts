import { attacks } from './attacks.ts'
import { honestCalls } from './honest-calls.ts'
import { startShop } from './shop.ts'

const brokers = process.env.KAFKA_BROKERS
if (!brokers) {
  console.error('KAFKA_BROKERS is not set; `npm run example` starts a broker and sets it.')
  process.exit(2)
}
const [wanted] = process.argv.slice(2)
if (wanted !== undefined && wanted !== 'attacks') {
  console.error(`There is no example "${wanted}"; run: npm run example, or npm run example -- attacks`)
  process.exit(2)
}
console.log('Starting the authority and three services ...\n')
const shop = await startShop(brokers).catch((error: Error) => {
  console.error(error.message)
  process.exit(1)
})
try {
  const isSafe = wanted === 'attacks' ? await attacks(shop, brokers) : await honestCalls(shop)
  process.exitCode = isSafe ? 0 : 1
} finally {
  await shop.stop()
}
