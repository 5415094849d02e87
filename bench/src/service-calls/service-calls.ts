import type { Figure } from '../figures.ts'
import { benchGrpc } from './grpc.ts'
import { benchKafka } from './kafka.ts'
import { createParties } from './parties.ts'
import { benchRest } from './rest.ts'

/** What signing and verifying add to a call or message: processor time of both ends together, with and without. */
export async function benchServiceCalls(): Promise<Figure[]> {
  const parties = await createParties()
  return [await benchRest(parties), await benchGrpc(parties), ...(await benchKafka(parties))]
}
