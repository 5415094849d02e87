import type { OperationCall } from '../operation.ts'
import type { ServiceContext, ServiceLogger } from '../service-context.ts'

/** What operations run in. */
export interface OperationRuntime {
  readonly log: ServiceLogger
  /** The handler's second argument. */
  contextOf(operation: string, call: OperationCall): ServiceContext
}
