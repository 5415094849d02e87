export {
  createTestAuthority,
  type TestAuthority,
  type TestCertificateOptions,
  type TestSvidOptions,
} from './test-authority.ts'
