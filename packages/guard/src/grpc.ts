export { callerOf } from './grpc/admitted-caller.ts'
export { type GrpcGuardOptions, guardGrpc, type TokenMode } from './grpc/guard-grpc.ts'
