import {
  createServiceSigner,
  type ServiceSigner,
  type ServiceSignerOptions,
  signerFromEnvironment,
} from '@countersign/client'
import {
  type CallBinding,
  grpcBinding,
  httpBinding,
  kafkaMessageBinding,
  kafkaRecordBinding,
  md5MessageHash,
  md5RequestHash,
  TokenError,
} from '@countersign/tokens'
import { wrongUse } from '../cli-error.ts'
import { audienceOf, type CallOptions, objectIn, type SignedCall } from './signed-call.ts'

/** A token for the call, signed as the service that the environment describes. @throws CliError exit 2 */
export function createToken(call: SignedCall, options: CallOptions, environment = process.env): string {
  const { profile = 'm2m', tenant } = options
  if (profile === 'md5' && tenant !== undefined) {
    throw wrongUse('tokens of the md5 profile carry no tenant; leave --tenant or --profile out')
  }
  const signer = signerOf(environment)
  try {
    if (profile === 'md5') return signer.signMd5(md5HashOf(call))
    const audience = audienceOf(options, call)
    return signer.sign({ audience, binding: bindingOf(call), ...(tenant !== undefined && { tenant }) })
  } catch (error) {
    if (error instanceof TokenError) throw wrongUse(`this call cannot be signed: ${error.message}`)
    throw error
  } finally {
    signer.close()
  }
}

function signerOf(environment: NodeJS.ProcessEnv): ServiceSigner {
  try {
    const options: ServiceSignerOptions = signerFromEnvironment(environment)
    return createServiceSigner(options)
  } catch (error) {
    // What a service finds at its start is here what the user gave.
    if ((error as { code?: unknown }).code === 'invalid_configuration') throw wrongUse((error as Error).message)
    throw error
  }
}

function bindingOf(call: SignedCall): CallBinding {
  if (call.transport === 'http') return httpBinding(call)
  if (call.transport === 'grpc') return grpcBinding(call)
  return call.carrier === 'header' ? kafkaRecordBinding(call) : kafkaMessageBinding(call)
}

function md5HashOf(call: SignedCall): string {
  if (call.transport === 'http') return md5RequestHash(call)
  if (call.transport === 'grpc') throw new Error('readCall lets no gRPC call through with the md5 profile')
  return md5MessageHash(call.carrier === 'payload' ? call.message : objectIn(call.value ?? Buffer.alloc(0)))
}
