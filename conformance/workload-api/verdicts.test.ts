// SVIDs that Go made, judged by us and by go-spiffe; SVIDs that we made, judged by go-spiffe and py-spiffe.
import {
  type BundleSet,
  parseBundleDocument,
  parseCertificate,
  parseX509Svid,
  verifyJwtSvid,
  verifyX509Svid,
} from '@countersign/spiffe'
import { describe, expect, it } from 'vitest'
import { describeWith } from '../describe-with.ts'
import { preparePython } from '../python.ts'
import { type GoSpiffe, prepareGoSpiffe } from './go-spiffe.ts'
import { audience, createOurSvids } from './our-svids.ts'

interface IssuedByGo {
  trust_domain: string
  bundle: string
  audience: string
  svids: { name: string; chain?: string[]; key?: string; token?: string; verdict: string }[]
}

/** Where we differ from go-spiffe, and the standard is on our side. */
const differences: Record<string, string> = {
  // JWT-SVID section 2.2 makes it optional; one key of the bundle fits.
  'JWT no kid': 'spiffe://theirs.example/workload',
}

const ours = createOurSvids()

await describeWith(
  async () => {
    const go: GoSpiffe = await prepareGoSpiffe()
    return { go, theirs: (await go.ask('issue', {})) as IssuedByGo }
  },
  'SVIDs and go-spiffe',
  ({ go, theirs }) => {
    const bundle = parseBundleDocument(theirs.trust_domain, theirs.bundle)
    const bundles: BundleSet = { get: (name) => (name === theirs.trust_domain ? bundle : undefined) }

    it('reads the bundle document that go-spiffe wrote', () => {
      expect(bundle).toMatchObject({ trustDomain: theirs.trust_domain, sequenceNumber: 7, refreshHintSeconds: 60 })
      expect(bundle.x509Authorities).toHaveLength(1)
      expect([...bundle.jwtAuthorities.keys()].sort()).toEqual(['es256', 'es384', 'rs256'])
    })

    describe('made by Go', () => {
      it.each(theirs.svids)('$name: our verdict is that of go-spiffe', ({ name, chain, key, token, verdict }) => {
        const due = differences[name] ?? withoutReason(verdict)
        expect(verdictOf(() => judge(chain, token))).toBe(due)
        if (chain && key && !verdict.startsWith('refused')) {
          const svid = parseX509Svid(Buffer.concat(chain.map(fromBase64)), fromBase64(key))
          expect(svid.id.toString()).toBe(verdict)
        }
      })
    })

    describe('made by us', () => {
      const verdicts = go.ask('verify', {
        bundles: ours.bundleDocuments,
        x509: ours.svids.map(({ chain }) => chain),
        jwt: ours.svids.map(({ token }) => token),
        audience,
      })

      it.each(ours.svids.map((svid, index) => ({ ...svid, index })))(
        '$name: go-spiffe says $verdict',
        async ({ token, verdict, index }) => {
          const { x509, jwt } = await verdicts
          expect(withoutReason(token ? jwt[index] : x509[index])).toBe(verdict)
        },
      )
    })

    function judge(chain: string[] | undefined, token: string | undefined): string {
      const now = Math.floor(Date.now() / 1000)
      if (token !== undefined) {
        return verifyJwtSvid(token, { audience: theirs.audience, bundles, now }).id.toString()
      }
      const certificates = (chain ?? []).map((each) => parseCertificate(fromBase64(each)))
      return verifyX509Svid(certificates, bundles, now).toString()
    }
  },
)

await describeWith(preparePython, 'SVIDs and py-spiffe', (python) => {
  // It has no judgement of chains, and none of its own of X.509: only what it reads of the leaf.
  const tokens = ours.svids.filter(({ token }) => token !== '')
  const verdicts = python.ask('spiffe_workload.py', {
    command: 'verify',
    jwt_bundles: ours.jwtBundles,
    jwt: tokens.map(({ token }) => token),
    audience,
  })

  it.each(tokens.map((svid, index) => ({ ...svid, index })))(
    '$name: py-spiffe says $verdict',
    async ({ verdict, index }) => {
      expect(withoutReason((await verdicts).jwt[index])).toBe(verdict)
    },
  )
})

function verdictOf(judge: () => string): string {
  try {
    return judge()
  } catch {
    return 'refused'
  }
}

function withoutReason(verdict: string): string {
  return verdict.startsWith('refused') ? 'refused' : verdict
}

function fromBase64(text: string): Buffer {
  return Buffer.from(text, 'base64')
}
