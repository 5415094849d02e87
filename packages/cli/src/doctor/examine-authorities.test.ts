import { expect, it } from 'vitest'
import type { CertificateAuthority } from '../resources.ts'
import { examineKind } from './examine-authorities.ts'

const day = 86_400_000

function authority(status: CertificateAuthority['status'], bornDaysAgo: number): CertificateAuthority {
  return {
    id: status,
    kind: 'x509',
    status,
    created_at: new Date(-bornDaysAgo * day).toISOString(),
    expires_at: new Date((90 - bornDaysAgo) * day).toISOString(),
  } as CertificateAuthority
}

it.each([
  ['nothing of a young CA', [authority('active', 10)], 'ok', 'is good for'],
  [
    'nothing of an old one that another will follow',
    [authority('active', 80), authority('prepared', 35)],
    'ok',
    'signs',
  ],
  ['that nothing is prepared', [authority('active', 80), authority('retired', 89)], 'warning', 'none is prepared'],
  ['that it has expired', [authority('active', 91)], 'problem', 'has expired'],
  ['that there is none', [authority('prepared', 0)], 'problem', 'is missing'],
  ['no other kind', [{ ...authority('active', 10), kind: 'jwt' as const }], 'problem', 'CA of X.509-SVIDs is missing'],
] as const)('tells %s', (_what, authorities, status, says) => {
  const finding = examineKind('x509', authorities, 0)
  expect(finding).toMatchObject({ check: 'authorities', status, says: expect.stringContaining(says) })
  expect(finding.cure !== undefined).toBe(status !== 'ok')
})
