import type { JwtSvid, X509Svid } from '@countersign/spiffe'
import { parseSpiffeId, SpiffeError } from '@countersign/spiffe'
import { createWorkloadApi, type WorkloadApi, type X509Context } from '@countersign/spiffe/workload-api'
import { CliError } from '../cli-error.ts'
import type { SvidOptions } from '../commands/svid.ts'
import { formatInstant } from '../instant.ts'
import { note, printJson, printResource, writeLine } from '../output.ts'
import { writeSvidFiles } from './svid-files.ts'

/** Prints the X.509-SVIDs of this process, and writes the first to files where a folder is named. */
export async function fetchX509(options: SvidOptions & { write?: string }): Promise<void> {
  const context = await withWorkloadApi(options, (api) => api.fetchX509Context())
  if (options.write !== undefined) await writeSvidFiles(options.write, context)
  printX509(context, options)
}

/** Prints the token on stdout and what it is on stderr, so that `TOKEN=$(countersign svid fetch jwt …)` works. */
export async function fetchJwt(options: SvidOptions & { audience: string[]; spiffeId?: string }): Promise<void> {
  const id = options.spiffeId === undefined ? undefined : parseSpiffeId(options.spiffeId)
  const svid = await withWorkloadApi(options, (api) => api.fetchJwtSvid({ audience: options.audience, id }))
  if (options.json) {
    printJson({ ...describeJwt(svid), token: svid.token })
    return
  }
  writeLine(svid.token)
  note(`${svid.id} for ${svid.audience.join(', ')}, until ${formatInstant(svid.expiresAt)}`)
}

export function printX509(context: X509Context, options: SvidOptions & { write?: string }): void {
  if (options.json) {
    printJson({ items: context.svids.map(describeX509), ...(options.write !== undefined && { folder: options.write }) })
    return
  }
  context.svids.forEach((svid, index) => {
    if (index > 0) writeLine('')
    printResource(svid, options, [
      ['spiffe id', svid.id.toString()],
      ['good until', formatInstant(svid.expiresAt)],
      ['serial', svid.certificates[0]?.serialNumber],
      ['DNS names', svid.certificates[0]?.dnsNames],
      ['hint', svid.hint],
      ...(index === 0 && options.write !== undefined ? ([['written to', options.write]] as const) : []),
    ])
  })
}

function describeX509(svid: X509Svid): object {
  const leaf = svid.certificates[0]
  return {
    spiffe_id: svid.id.toString(),
    expires_at: formatInstant(svid.expiresAt),
    serial_number: leaf?.serialNumber,
    dns_names: leaf?.dnsNames,
    hint: svid.hint,
  }
}

function describeJwt(svid: JwtSvid): object {
  return {
    spiffe_id: svid.id.toString(),
    audience: svid.audience,
    expires_at: formatInstant(svid.expiresAt),
    hint: svid.hint,
  }
}

async function withWorkloadApi<Result>(
  { socket }: SvidOptions,
  work: (api: WorkloadApi) => Promise<Result>,
): Promise<Result> {
  const api = createWorkloadApi({ socket })
  try {
    return await work(api)
  } catch (error) {
    throw forOneWhoEnds(error)
  } finally {
    api.close()
  }
}

/** By when an operator looks, this process has ended; the shell that ran it is there still, and of the same user. */
function forOneWhoEnds(error: unknown): unknown {
  if (!(error instanceof SpiffeError) || error.code !== 'no_identity') return error
  return new CliError(error.message.replace(`explain ${process.pid}`, () => 'explain $$'))
}
