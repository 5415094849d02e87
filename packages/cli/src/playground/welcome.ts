import { styleText } from 'node:util'
import { formatDuration } from '../duration.ts'
import type { AgentSummary } from './agent.ts'
import type { PlaygroundData } from './data-directory.ts'

/** What a program that starts the playground reads: one line of JSON on stdout. */
export interface PlaygroundSummary {
  issuer: string
  admin: { client_id: string; client_secret: string }
  client: { client_id: string; client_secret: string }
  api: { url: string; audience: string; scopes: string[] }
  agent?: AgentSummary
}

export interface FirstCall {
  token: { milliseconds: number; algorithm: string; lifetimeSeconds: number; scope: string }
  call: { milliseconds: number; status: number; body: string }
  callWithoutToken: { status: number; challenge: string }
}

/** What a person reads: what happened, and what to type next. */
export function welcome(summary: PlaygroundSummary, data: PlaygroundData, first: FirstCall): string {
  const bold = (text: string) => paint('bold', text)
  const dim = (text: string) => paint('dim', text)
  const ok = paint('green', '✓')
  const { issuer, admin, client, api, agent } = summary
  const url = issuer.replace(/\/$/, '')
  return `
${bold('Countersign playground')} at ${bold(issuer)}   ${dim(`data in ${data.directory}`)}

  ${ok} ${client.client_id} proved itself and got a token     ${dim(`${first.token.algorithm}, ${first.token.scope}, ${formatDuration(first.token.lifetimeSeconds)}, in ${first.token.milliseconds} ms`)}
  ${ok} it called the demo API with it: ${first.call.status}    ${dim(`verified without asking the server, in ${first.call.milliseconds} ms`)}
  ${ok} without a token the API refused: ${first.callWithoutToken.status}   ${dim(first.callWithoutToken.challenge)}

${bold('Get a token')}
  curl -s ${url}/oauth/token -d grant_type=client_credentials \\
    -d client_id=${client.client_id} -d client_secret=${client.client_secret}

${bold('Call the API with it')}
  TOKEN=$(curl -s ${url}/oauth/token -d grant_type=client_credentials \\
    -d client_id=${client.client_id} -d client_secret=${client.client_secret} |
    sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')
  curl -i ${api.url} -H "Authorization: Bearer $TOKEN"

${bold('Administer it')}   ${dim(`admin client: ${admin.client_id}; the API is described at ${url}/api/v1/docs`)}
  export COUNTERSIGN_URL=${issuer} COUNTERSIGN_CLIENT_ID=${admin.client_id}
  export COUNTERSIGN_CLIENT_SECRET=${admin.client_secret}
  npx countersign client list
  npx countersign client create --id svc-billing
  npx countersign client grant svc-billing --api ${api.audience} --scope read:orders
  npx countersign audit tail
${agent === undefined ? '' : withoutSecret(agent, data)}
${dim('Ctrl-C ends it; the data stay.')}
`
}

/** What there is to try with an agent on this machine. */
function withoutSecret({ socket, spiffe_id }: AgentSummary, { directory }: PlaygroundData): string {
  return `
${paint('bold', 'An identity without a secret')}   ${paint('dim', `what runs as your user is ${spiffe_id}`)}
  export SPIFFE_ENDPOINT_SOCKET=${socket}
  npx countersign svid fetch x509
  npx countersign svid fetch jwt --audience https://orders.example.com
  npx countersign svid watch
  npx countersign workload explain $$ --agent ${directory}/agent-admin.sock
  npx countersign workload list
`
}

type Style = Parameters<typeof styleText>[0]

function paint(style: Style, text: string): string {
  // styleText heeds NO_COLOR and whether stdout is a terminal.
  return styleText(style, text, { stream: process.stdout })
}
