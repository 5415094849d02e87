import { z } from 'zod'
import { compileExpression, type Expression } from '../expressions/expression.ts'
import { ServiceError } from '../service-error.ts'
import { compileHeaders, compileParams, compileUrl, compileValue } from './action-values.ts'

const name = z
  .string()
  .regex(/^[A-Za-z][\w-]{0,63}$/, 'a name begins with a letter and has at most 64 letters, digits, "_" and "-"')
  .refine((text) => !(text in {}), 'this name is one that every JavaScript object has; choose another')

const serviceName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'a service is named by lower-case letters, digits and "-", such as order-service')

const topic = z.string().regex(/^(?!\.\.?$)[\w.-]{1,237}$/, 'a topic has at most 237 letters, digits, ".", "_" and "-"')

const path = z.string().regex(/^\//, 'a path begins with "/", such as /v1/stock/:productId')

const method = z
  .string()
  .transform((text) => text.toUpperCase())
  .pipe(z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']))

const authOptions = z.strictObject({
  loginRequired: z
    .boolean()
    .default(true)
    .meta({ description: 'a user session is needed; false with M2MAllowed: only service tokens' }),
  M2MAllowed: z.boolean().default(false).meta({ description: 'services may call, with a service token' }),
})

const route = z.strictObject({
  path: path.optional().meta({ description: 'default: /{name}' }),
  method: method.default('POST'),
})

const businessApi = z.strictObject({
  name,
  authOptions: authOptions.prefault({}),
  restSettings: route.prefault({}),
  grpcSettings: z
    .strictObject({ protoFile: z.string().min(1), service: z.string().min(1), method: z.string().min(1) })
    .optional(),
  kafkaSettings: z
    .strictObject({ hasKafkaController: z.boolean().default(true), requestTopic: topic.optional() })
    .optional(),
  input: z.record(z.string(), z.unknown()).optional(),
  actions: z.array(z.string()).default([]),
})

const edgeController = z.strictObject({
  edgeControllerOptions: z.strictObject({ functionName: name, ...authOptions.shape }),
  edgeRestSettings: z
    .strictObject({ restEnabled: z.boolean().default(true), path: path.optional(), method: method.default('POST') })
    .optional(),
  edgeKafkaSettings: z
    .strictObject({ kafkaEnabled: z.boolean().default(true), requestTopic: topic.optional() })
    .optional(),
})

const apiCallAction = z.strictObject({
  name,
  apiCallRequest: z.strictObject({
    method,
    url: compiled(compileUrl),
    params: compiled(compileParams).optional(),
    headers: compiled(compileHeaders).optional(),
    body: compiled(compileValue).optional(),
  }),
})

const interserviceCallAction = z.strictObject({
  name,
  targetService: serviceName,
  targetApi: name,
  apiParameters: z.array(z.strictObject({ name: z.string().min(1), value: compiled(compileValue) })).default([]),
  transport: z.enum(['rest', 'grpc']).default('rest'),
})

const publishEventAction = z.strictObject({
  name,
  topic,
  message: compiled(compileValue),
  key: compiled(compileValue).optional(),
})

export const documentSchema = z.strictObject({
  serviceSettings: z
    .strictObject({
      serviceOptions: z
        .strictObject({
          machineToMachineBlockList: z.array(serviceName).default([]),
          allowedM2MClients: z.array(serviceName).optional(),
          multiTenant: z.boolean().default(false),
        })
        .prefault({}),
    })
    .prefault({}),
  businessApis: z.array(businessApi).default([]),
  edgeControllers: z.array(edgeController).default([]),
  actions: z
    .strictObject({
      apiCallActions: z.array(apiCallAction).default([]),
      interserviceCallActions: z.array(interserviceCallAction).default([]),
      publishEventActions: z.array(publishEventAction).default([]),
    })
    .prefault({}),
})

/** A value that is compiled when the document is read, so that what is wrong with it is found at start. */
function compiled<Result>(compile: (given: unknown) => Expression<Result>) {
  return z.unknown().transform((given, context): Expression<Result> => {
    try {
      return compile(given)
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error
      context.addIssue({ code: 'custom', message: error.message })
      return z.NEVER
    }
  })
}
