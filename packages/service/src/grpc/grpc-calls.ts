import { type CallSigner, signedCallOptions } from '@countersign/client/grpc'
import { KeptDocument } from '@countersign/outbound'
import { serviceName } from '@countersign/tokens'
import { Client, credentials, type Deadline, type ServiceError, status } from '@grpc/grpc-js'
import { ActionError } from '../actions/action-error.ts'
import type { GrpcCall } from '../actions/grpc-call.ts'
import { faultOf } from './check-message.ts'
import { type GrpcMethodTypes, serviceTypes } from './message-types.ts'
import { answerOf, messageOf } from './message-values.ts'
import { readTypes, typesMethod } from './served-types.ts'

export interface GrpcCalls {
  readonly call: GrpcCall
  /** Closes the connections; calls that run come to their end. */
  close(): void
}

/**
 * Calls business APIs of other services over gRPC, by name. The message types are those that the service itself tells;
 * they and the connection are kept. Calls reject with ActionError: `not_signed`, `bad_value`, `refused`, `unreachable`.
 */
export function createGrpcCalls(signer: CallSigner | undefined): GrpcCalls {
  const clients = new Map<string, Client>()
  const kept = new Map<string, KeptDocument<GrpcMethodTypes>>()
  return {
    async call({ action, service, baseUrl, api, parameters, tenant, timeoutMilliseconds }) {
      if (signer === undefined)
        throw new ActionError(action, 'not_signed', 'the service has no key; set SERVICE_SECRET_KEY')
      const { service: grpcService, method, port } = api.grpc!
      const path = `/${grpcService}/${method}`
      const deadline = Date.now() + timeoutMilliseconds
      const client = clientOf(baseUrl, port)
      const types = typesOf(client, grpcService, method)
      const definition = await types.get().catch((cause) => {
        throw new ActionError(action, 'unreachable', `the types of ${path} at ${service} cannot be had`, { cause })
      })
      const message = messageOf(parameters) as object
      const fault = faultOf(message, definition.request, { refuseUnknown: true })
      if (fault !== undefined) throw new ActionError(action, 'bad_value', `${path}: ${fault}`)
      const { interceptors } = signedCallOptions(signer, { audience: serviceName(service), tenant })
      try {
        return answerOf(await unary(client, definition, message, { deadline, interceptors }))
      } catch (cause) {
        if ((cause as ServiceError).code === status.UNIMPLEMENTED) void types.refresh().catch(() => {})
        throw actionError(action, path, cause as ServiceError)
      }
    },
    close() {
      for (const client of clients.values()) client.close()
      clients.clear()
      kept.clear()
    },
  }

  function clientOf(baseUrl: string, port: number): Client {
    const { protocol, hostname } = new URL(baseUrl)
    const target = `${hostname}:${port}`
    const client =
      clients.get(`${protocol}${target}`) ??
      new Client(target, protocol === 'https:' ? credentials.createSsl() : credentials.createInsecure(), {
        // Each attempt needs a token of its own.
        'grpc.enable_retries': 0,
        'grpc.max_receive_message_length': largestAnswer,
      })
    clients.set(`${protocol}${target}`, client)
    return client
  }

  function typesOf(client: Client, service: string, method: string): KeptDocument<GrpcMethodTypes> {
    const path = `/${service}/${method}`
    const key = `${client.getChannel().getTarget()} ${path}`
    const document =
      kept.get(key) ??
      new KeptDocument({
        cooldownSeconds: 1,
        async load() {
          const text = await unary(client, typesMethod, path, { deadline: Date.now() + typesTimeoutMilliseconds })
          const definition = serviceTypes(readTypes(text), { defaults: true }).methodsOf(service)?.[method]
          if (definition?.path !== path) throw new Error(`it tells nothing of ${path}`)
          return { value: definition }
        },
      })
    kept.set(key, document)
    return document
  }
}

const largestAnswer = 8 * 1024 * 1024
const typesTimeoutMilliseconds = 5_000

function unary<Request, Answer>(
  client: Client,
  definition: {
    path: string
    requestSerialize: (request: Request) => Buffer
    responseDeserialize: (bytes: Buffer) => Answer
  },
  request: Request,
  options: { deadline: Deadline; interceptors?: ReturnType<typeof signedCallOptions>['interceptors'] },
): Promise<Answer> {
  const { path, requestSerialize, responseDeserialize } = definition
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, options, (error, answer) =>
      error ? reject(error) : resolve(answer!),
    )
  })
}

function actionError(action: string, path: string, cause: ServiceError): ActionError {
  const unreached = cause.code === status.UNAVAILABLE || cause.code === status.DEADLINE_EXCEEDED
  const message = `${path} answered ${status[cause.code] ?? cause.code}${reasonOf(cause)}`
  return new ActionError(action, unreached ? 'unreachable' : 'refused', message, { cause })
}

/** What a service of ours says with a refusal is worth a line in the log; nobody else's sentences are. */
function reasonOf({ metadata }: ServiceError): string {
  const words = ['m2m-error', 'm2m-reason', 'problem-code']
    .flatMap((name) => metadata?.get(name) ?? [])
    .filter((word) => typeof word === 'string' && /^\w{1,40}$/.test(word))
  return words.length > 0 ? ` (${words.join(', ')})` : ''
}
