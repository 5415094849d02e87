import { type Metadata, status } from '@grpc/grpc-js'
import { CallRefusal } from '../workloads/call-refusal.ts'

/**
 * A request that some program was tricked into sending elsewhere lacks this header (SPIFFE Workload Endpoint, section
 * 6.1).
 * @throws CallRefusal `INVALID_ARGUMENT`
 */
export function checkSecurityHeader(metadata: Metadata): void {
  const values = metadata.get('workload.spiffe.io')
  if (values.length !== 1 || values[0] !== 'true')
    throw new CallRefusal(status.INVALID_ARGUMENT, 'security header missing from request')
}
