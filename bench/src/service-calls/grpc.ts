import { signedCallOptions } from '@countersign/client/grpc'
import { guardGrpc } from '@countersign/guard/grpc'
import {
  Client,
  type ClientOptions,
  credentials,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
} from '@grpc/grpc-js'
import type { Figure } from '../figures.ts'
import { addedCost, microsecondsOfOne } from './added-cost.ts'
import { message, type Parties, receiver } from './parties.ts'

const callsARound = 200
const path = '/shop.Inventory/DecreaseStock'

/** A unary call of grpc-js with JSON messages; then signed, and behind a guard. */
export async function benchGrpc({ signer, verifier, rawMicroseconds }: Parties): Promise<Figure> {
  const bare = await listen(definition, implementation)
  const guarded = await listen(...guardGrpc(verifier, definition, implementation))
  const plain = connect(bare.port, {})
  const signed = connect(guarded.port, signedCallOptions(signer, { audience: receiver }))
  try {
    return await addedCost('add to a unary gRPC call (grpc-js)', rawMicroseconds, {
      without: () => microsecondsOfOne(callsARound, () => call(plain)),
      with: () => microsecondsOfOne(callsARound, () => call(signed)),
    })
  } finally {
    for (const client of [plain, signed]) client.close()
    for (const { server } of [bare, guarded]) server.forceShutdown()
  }
}

const serialize = (value: object) => Buffer.from(JSON.stringify(value))
const deserialize = (bytes: Buffer) => JSON.parse(bytes.toString())
const definition = {
  decreaseStock: {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: serialize,
    requestDeserialize: deserialize,
    responseSerialize: serialize,
    responseDeserialize: deserialize,
  },
} satisfies ServiceDefinition

const implementation = {
  decreaseStock({ request }: ServerUnaryCall<typeof message, object>, callback: sendUnaryData<object>) {
    callback(null, { left: request.quantity })
  },
}

function call(client: Client): Promise<unknown> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, serialize, deserialize, message, (error, answer) => {
      if (error) reject(error)
      else resolve(answer)
    })
  })
}

function connect(port: number, options: ClientOptions): Client {
  return new Client(`127.0.0.1:${port}`, credentials.createInsecure(), options)
}

async function listen(...service: Parameters<Server['addService']>): Promise<{ server: Server; port: number }> {
  const server = new Server()
  server.addService(...service)
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(error)
      else resolve(bound)
    })
  })
  return { server, port }
}
