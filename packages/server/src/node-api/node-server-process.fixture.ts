// A server with its node API as a process of its own, to be killed. Prints what a client needs when it is ready.
import { readFileSync } from 'node:fs'
import { parsePemCertificates } from '@countersign/spiffe'
import { startTestNodeServer } from './node-api.fixture.ts'

const { DATABASE_URL: databaseUrl, MASTER_KEY: masterKey, NODE_PORT: port = '0', NODE_CA_FILE: caFile } = process.env
const authorities = () => parsePemCertificates(readFileSync(caFile as string, 'utf8'))
const server = await startTestNodeServer({
  databaseUrl,
  masterKey,
  issuer: 'http://localhost:1/',
  nodeApi: { port: Number(port) },
  spiffe: { nodeAttestors: caFile ? { x509pop: { authorities } } : {} },
})
killAt(process.env.KILLED_AT)
console.log(
  JSON.stringify({ address: server.address, roots: server.roots().toString(), token: await server.joinToken() }),
)

/** By itself, as no one from outside can hit these moments. */
function killAt(moment: string | undefined): void {
  const { nodes, nodeAttestors, ca } = server.server.authority.workloadIdentity!
  const attested = nodes.attested.bind(nodes)
  for (const attestor of nodeAttestors) {
    const attest = attestor.attest.bind(attestor)
    if (moment === 'first message') attestor.attest = killed
    if (moment === 'challenge answered')
      attestor.attest = (payload, challenge, key) => attest(payload, (bytes) => challenge(bytes).then(killed), key)
  }
  if (moment === 'transaction')
    nodes.attested = (node) =>
      attested({ ...node, claim: async (...given) => node.claim?.(...given).then(killed) ?? killed() })
  if (moment === 'commit') nodes.attested = (node) => attested(node).then(killed)
  // The agent has its SVID then, and asks for the bundle to judge it.
  if (moment === 'bundle') ca.published = killed as never
}

function killed(): Promise<never> {
  process.kill(process.pid, 'SIGKILL')
  return new Promise(() => {})
}
