import { fetchX509, header, openWorkloadClient } from './workload-client.fixture.ts'

/**
 * A workload in a process of its own: gets its X.509-SVIDs (and JWT-SVIDs when an audience is given), prints what it got
 * as one line of JSON, and lives until its standard input ends.
 */
const [socket = '', audience = ''] = process.argv.slice(2)

try {
  const { svids } = await fetchX509(socket)
  const tokens = audience === '' ? [] : await fetchJwt()
  console.log(JSON.stringify({ ids: svids.map(({ spiffeId }) => spiffeId), tokens }))
} catch (error) {
  console.log(JSON.stringify({ code: (error as { code?: number }).code }))
}
process.stdin.on('end', () => process.exit()).resume()

function fetchJwt(): Promise<string[]> {
  const client = openWorkloadClient(socket)
  return new Promise((resolve, reject) => {
    client.fetchJwtsvid({ audience: [audience], spiffeId: '' }, header(), (error, response) => {
      client.close()
      if (error) reject(error)
      else resolve(response.svids.map(({ svid }) => svid))
    })
  })
}
