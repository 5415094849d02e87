import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { signedCallOptions } from '@countersign/client/grpc'
import { Client, type ClientOptions, credentials, Metadata, type ServiceError } from '@grpc/grpc-js'
import type { AnyJson, World } from '../world.fixture.ts'
import { readProtoFile } from './message-types.ts'

const proto = `
  syntax = "proto3";
  package shop;
  import "items.proto";
  service Inventory {
    rpc DecreaseStock (Decrease) returns (Left);
    rpc Open (Decrease) returns (Left);
    rpc Session (Decrease) returns (Left);
    rpc Either (Decrease) returns (Left);
    rpc Watch (Decrease) returns (stream Left);
  }
  enum Reason { UNSAID = 0; SOLD = 1; }
  message Decrease {
    string product_id = 1;
    int32 quantity = 2;
    int64 big = 3;
    bytes raw = 4;
    Reason reason = 5;
    repeated Item items = 6;
    map<string, int32> counts = 7;
    optional int32 maybe = 8;
    repeated string tags = 9;
    uint64 huge = 10;
  }
  message Left { int32 left = 1; string said = 2; repeated Item items = 3; int64 big = 4; map<string, int32> counts = 5; }
`
const items = `
  syntax = "proto3";
  package shop;
  message Item { string sku = 1; repeated int32 sizes = 2; }
`

/** A folder with inventory.proto, which imports another. */
export function protoFolder(): { file: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-grpc-'))
  writeFileSync(join(folder, 'inventory.proto'), proto)
  writeFileSync(join(folder, 'items.proto'), items)
  return { file: join(folder, 'inventory.proto'), remove: () => rmSync(folder, { recursive: true }) }
}

export interface Outcome {
  readonly error: ServiceError | null
  readonly answer?: AnyJson
}

export interface CallOptions {
  /** Signs in the name of this service. */
  readonly as?: string
  readonly tenant?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly client?: Partial<ClientOptions>
}

/** Calls inventory over gRPC as other programs would: with its .proto file, and the signing of our client. */
export async function callInventory(
  world: World,
  protoFile: string,
  port: number,
  method: string,
  message: object,
  { as, tenant, headers = {}, client: more = {} }: CallOptions = {},
): Promise<Outcome> {
  const { path, requestSerialize, responseDeserialize } = readProtoFile(protoFile, false).methodsOf('shop.Inventory')![
    method
  ]!
  const signing = as === undefined ? {} : signedCallOptions(world.signer(as), { audience: 'inventory-service', tenant })
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), { ...signing, ...more })
  const metadata = new Metadata()
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value)
  try {
    return await new Promise<Outcome>((resolve) =>
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, message, metadata, (error, answer) =>
        resolve({ error, answer }),
      ),
    )
  } finally {
    client.close()
  }
}
