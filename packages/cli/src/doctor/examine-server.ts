import { CliError } from '../cli-error.ts'
import { roughDuration } from '../duration.ts'
import { readIssuerKeys } from '../inspection/signature.ts'
import { reach } from '../reach.ts'
import type { Finding } from './finding.ts'

/** What anybody can see of a running server: whether it answers, is ready, names itself rightly, and tells the time. */
export async function examineServer(url: string): Promise<Finding[]> {
  let health: Response
  let askedAt: number
  try {
    askedAt = Date.now()
    health = await reach(`${url}/healthz`, { timeoutMilliseconds: 5000 })
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    const [says, cure] = error.message.split('; ')
    return [{ check: 'reachability', status: 'problem', says: says!, ...(cure && { cure }) }]
  }
  const roundTrip = Date.now() - askedAt
  return [
    answered(health, url, roundTrip),
    examineClock(health.headers.get('date'), askedAt + roundTrip / 2),
    await examineReadiness(url),
    ...(await examineMetadata(url)),
  ]
}

function answered(health: Response, url: string, roundTrip: number): Finding {
  if (health.status === 200)
    return { check: 'reachability', status: 'ok', says: `${url} answers within ${roundTrip} ms` }
  const says = `${url}/healthz answers ${health.status}`
  return {
    check: 'reachability',
    status: 'problem',
    says,
    cure: 'check that --url names a Countersign server, and what stands in between',
  }
}

/** The Date header has whole seconds, so half a second is nothing. */
function examineClock(date: string | null, nowMilliseconds: number): Finding {
  const theirs = date === null ? Number.NaN : Date.parse(date)
  if (Number.isNaN(theirs)) return { check: 'clock', status: 'skipped', says: 'the server does not tell its time' }
  const offset = (nowMilliseconds - theirs - 500) / 1000
  const apart = Math.abs(offset)
  const cure = 'let both machines follow NTP: timedatectl set-ntp true'
  if (apart < 2) return { check: 'clock', status: 'ok', says: "this machine's clock and the server's agree" }
  const says = `this machine's clock is ${roughDuration(apart)} ${offset > 0 ? 'ahead of' : 'behind'} the server's`
  if (apart < 30) return { check: 'clock', status: 'warning', says, cure }
  return { check: 'clock', status: 'problem', says: `${says}, so tokens look expired or not yet valid`, cure }
}

async function examineReadiness(url: string): Promise<Finding> {
  const response = await reach(`${url}/readyz`, { timeoutMilliseconds: 10_000 })
  const text = await response.text()
  if (response.status === 200)
    return {
      check: 'store',
      status: 'ok',
      says: 'the server is ready: its database answers and a signing key is active',
    }
  const cures: Record<string, string> = {
    store_unavailable: "start the server's database, or mend its database_url",
    no_signing_key: 'make a key with: countersign key rotate --alg ES256',
    draining: 'wait for it to come back, or ask another replica',
  }
  const { code = '', detail = `it answers ${response.status}` } = parse(text)
  return {
    check: 'store',
    status: 'problem',
    says: `the server is not ready: ${detail}`,
    cure: cures[code] ?? "look into the server's log",
  }
}

async function examineMetadata(url: string): Promise<Finding[]> {
  try {
    const { issuer, keys } = await readIssuerKeys(url)
    const findings: Finding[] = [
      issuer.replace(/\/$/, '') === url
        ? { check: 'reachability', status: 'ok', says: `its issuer is ${issuer}` }
        : {
            check: 'reachability',
            status: 'warning',
            says: `it calls itself ${issuer}, not ${url}`,
            cure: 'that is right behind a proxy or port-forward; else mend its issuer, or --url',
          },
    ]
    if (keys.length === 0)
      findings.push({
        check: 'keys',
        status: 'problem',
        says: 'it publishes no keys',
        cure: 'make one with: countersign key rotate --alg ES256',
      })
    else
      findings.push({
        check: 'keys',
        status: 'ok',
        says: `it publishes ${keys.length} ${keys.length === 1 ? 'key' : 'keys'}`,
      })
    return findings
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    const [says, cure] = error.message.split('; ')
    return [{ check: 'keys', status: 'problem', says: says!, ...(cure && { cure }) }]
  }
}

function parse(text: string): { code?: string; detail?: string } {
  try {
    return JSON.parse(text) ?? {}
  } catch {
    return {}
  }
}
