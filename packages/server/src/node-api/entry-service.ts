import {
  type EntryServer,
  EntryService,
  type SyncAuthorizedEntriesRequest,
} from '@countersign/spiffe/protocol/spire-entry'
import { type ServerDuplexStream, status } from '@grpc/grpc-js'
import { type CallingAgent, requireAgent, requireStillGood } from './calling-agent.ts'
import { duplex, unary } from './calls.ts'
import type { NodeApiContext } from './context.ts'
import { toWireEntry } from './entry-message.ts'
import { fitInOneMessage, syncEntries } from './entry-sync.ts'
import { readMessages } from './message-reader.ts'
import { RpcError } from './rpc-error.ts'
import { sendWith } from './send.ts'

const nextRequestMilliseconds = 30_000

/** `EntryService`, with answers to a synchronisation that are bytes already. */
export const entryDefinition = {
  ...EntryService,
  syncAuthorizedEntries: { ...EntryService.syncAuthorizedEntries, responseSerialize: asItIs as never },
}

function asItIs(written: Buffer): Buffer {
  return written
}

/** Which entries a node is authorised for: `spire.api.server.entry.v1.Entry`. */
export function entryService(context: NodeApiContext): EntryServer {
  const { rules } = context
  return {
    getAuthorizedEntries: unary(rules, async ({ outputMask: mask }, caller) => {
      const agent = await requireAgent(caller, context)
      const authorized = authorizedEntries(agent, context)
      const withPolicies = caller.isCountersign
      if (!fitInOneMessage(authorized, { mask, withPolicies })) {
        throw new RpcError(status.RESOURCE_EXHAUSTED, 'too many entries for one answer: sync them')
      }
      return { entries: authorized.map((entry) => toWireEntry(entry, mask, withPolicies)) }
    }),
    syncAuthorizedEntries: duplex(rules, async (call, caller) => {
      const reader = readMessages(call, nextRequestMilliseconds)
      const send = sendWith(call as unknown as ServerDuplexStream<SyncAuthorizedEntriesRequest, Buffer>)
      const agent = await requireAgent(caller, context)
      await syncEntries(
        () => reader.next(),
        async (response) => {
          // The agent may take its time from one message to the next: long enough to be banned.
          await requireStillGood(caller, context)
          await send(response)
        },
        () => ({
          entries: authorizedEntries(agent, context),
          withPolicies: caller.isCountersign,
        }),
      )
    }),
  }
}

/** What the node does not get, as it proved itself too long ago, is told to the operator; the agent does not wait for it. */
function authorizedEntries({ node, authorization }: CallingAgent, { entries, withheld }: NodeApiContext) {
  // Not told for now: the next synchronisation tells it again.
  withheld.tell(node, authorization).catch(() => {})
  return entries.authorizedEntries(node, authorization)
}
