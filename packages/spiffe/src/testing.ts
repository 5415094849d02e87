export { type FakeWorkloadApi, type FakeWorkloadApiOptions, startFakeWorkloadApi } from './fake-workload-api.ts'
export {
  createTestAuthority,
  type TestAuthority,
  type TestCertificateOptions,
  type TestSvidOptions,
} from './test-authority.ts'
