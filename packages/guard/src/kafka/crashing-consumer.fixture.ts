// A consumer of its own process, which ends by kill -9 while it handles the record `crashAt`.
import { createRedisSingleUse } from '@countersign/limits'
import { importPublicJwk } from '@countersign/tokens'
import { createClient } from 'redis'
import { clients, createVerifier } from './kafka.fixture.ts'

const { clientName, topic, group, redisUrl, publicJwk, crashAt } = JSON.parse(process.argv[2]!)
const redis = await createClient({ url: redisUrl }).connect()
const key = importPublicJwk(publicJwk)
const verifier = createVerifier({ uses: createRedisSingleUse({ client: redis }), keys: { keyFor: () => key } })

await clients
  .find(({ name }) => name === clientName)!
  .start({
    topics: [topic],
    group,
    verifier,
    producer: undefined as never,
    handler({ payload }) {
      process.stdout.write(`${payload!.n}\n`)
      if (payload!.n === crashAt) process.kill(process.pid, 'SIGKILL')
    },
  })
