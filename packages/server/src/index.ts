export type { AuditEvent, AuditFact, AuditHead, ChainedEvent } from './audit/event.ts'
export { type ExportedEvent, exportEvents, exportHeads } from './audit/export.ts'
export {
  type AuditEvidence,
  type BrokenPlace,
  type BrokenPlaceProblem,
  type ChainVerdict,
  verifyChains,
} from './audit/verify.ts'
