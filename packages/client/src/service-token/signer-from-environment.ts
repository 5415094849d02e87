import { parseDuration } from '@countersign/tokens/duration'
import { ClientError } from '../client-error.ts'
import type { ServiceSignerOptions } from './service-signer.ts'

/**
 * Options for `createServiceSigner` from `SERVICE_SHORT_NAME`, `SERVICE_SECRET_KEY` or `SERVICE_SECRET_KEY_FILE`, and
 * `M2M_TOKEN_TTL` (seconds, or such as `90s` and `5m`). Empty variables count as absent.
 * @throws ClientError `invalid_configuration` that names the variable
 */
export function signerFromEnvironment(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Pick<ServiceSignerOptions, 'name' | 'secretKey' | 'secretKeyFile' | 'lifetimeSeconds'> {
  const read = (name: string) => environment[name]?.trim() || undefined
  const name = read('SERVICE_SHORT_NAME')
  const secretKey = read('SERVICE_SECRET_KEY')
  const secretKeyFile = read('SERVICE_SECRET_KEY_FILE')
  const lifetime = read('M2M_TOKEN_TTL')
  if (name === undefined)
    throw unusable('SERVICE_SHORT_NAME is not set; it is what the service signs as, such as order')
  if (secretKey === undefined && secretKeyFile === undefined) {
    throw unusable(
      'neither SERVICE_SECRET_KEY nor SERVICE_SECRET_KEY_FILE is set; make a key with: countersign service keygen',
    )
  }
  if (secretKey !== undefined && secretKeyFile !== undefined) {
    throw unusable('SERVICE_SECRET_KEY and SERVICE_SECRET_KEY_FILE are both set; unset one of them')
  }
  return {
    name,
    ...(secretKey !== undefined && { secretKey }),
    ...(secretKeyFile !== undefined && { secretKeyFile }),
    ...(lifetime !== undefined && { lifetimeSeconds: readLifetime(lifetime) }),
  }
}

function readLifetime(text: string): number {
  const seconds = parseDuration(text) ?? 0
  if (seconds >= 1 && seconds <= 900) return seconds
  throw unusable('M2M_TOKEN_TTL must be 1 to 900 seconds, such as 60 or 5m')
}

function unusable(message: string): ClientError {
  return new ClientError('invalid_configuration', message)
}
