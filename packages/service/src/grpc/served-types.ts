import { parseJson } from '@countersign/tokens'
import { type Server, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js'
import { z } from 'zod'
import type { LoadedMethod } from './load-methods.ts'
import type { TypesJson } from './message-types.ts'

/**
 * Tells callers the message types of a method, so that who knows an API's name can call it over gRPC: the request is
 * the method's path, the answer what protobufjs writes of its .proto files. Open to anybody, as openapi.json is.
 */
export const typesMethod = {
  path: '/countersign.service.v1.Types/Get',
  requestStream: false,
  responseStream: false,
  requestSerialize: (path: string) => Buffer.from(path),
  requestDeserialize: (bytes: Buffer) => bytes.toString(),
  responseSerialize: (types: string) => Buffer.from(types),
  responseDeserialize: (bytes: Buffer) => bytes.toString(),
}

export function serveTypes(server: Server, methods: readonly LoadedMethod[]): void {
  const written = new Map(methods.map(({ definition, types }) => [definition.path, JSON.stringify(types.json)]))
  server.addService(
    { Get: typesMethod },
    {
      Get({ request: path }: ServerUnaryCall<string, string>, callback: sendUnaryData<string>) {
        const types = written.get(path)
        if (types === undefined) callback({ code: status.NOT_FOUND, details: 'no such method is served here' })
        else callback(null, types)
      },
    },
  )
}

/**
 * Types that another service told. protobufjs makes code of names, so that only what is a name is let through, and of
 * options none but the one that says what may be absent. Throws for anything else.
 */
export function readTypes(text: string): TypesJson {
  return namespace.parse(parseJson(text, { maximumBytes: largestTypes })) as TypesJson
}

const largestTypes = 1024 * 1024

const name = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/)
const typeName = z.string().regex(/^\.?[A-Za-z_][A-Za-z0-9_]{0,127}(\.[A-Za-z_][A-Za-z0-9_]{0,127}){0,20}$/)
const field = z.object({
  type: typeName,
  id: z.int().min(1).max(536_870_911),
  rule: z.enum(['optional', 'required', 'repeated']).optional(),
  keyType: typeName.optional(),
  options: z.object({ proto3_optional: z.boolean().optional() }).optional(),
})
const method = z.object({
  requestType: typeName,
  responseType: typeName,
  requestStream: z.boolean().optional(),
  responseStream: z.boolean().optional(),
})
const namespace = z.object({
  get nested() {
    return z.record(name, declared).optional()
  },
})
const declared = z.object({
  fields: z.record(name, field).optional(),
  oneofs: z.record(name, z.object({ oneof: z.array(name) })).optional(),
  values: z
    .record(
      name,
      z
        .int()
        .min(-(2 ** 31))
        .max(2 ** 31 - 1),
    )
    .optional(),
  methods: z.record(name, method).optional(),
  get nested() {
    return namespace.shape.nested
  },
})
