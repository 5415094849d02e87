import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MissingRuntime } from './missing-runtime.ts'
import { preparedOnce } from './prepared-once.ts'
import { askProgram, runProgram } from './program.ts'

const source = fileURLToPath(new URL('go/', import.meta.url))

export interface GoRequest {
  style: 'auto' | 'header' | 'params' | 'form'
  token_url: string
  client_id: string
  client_secret: string
  audience?: string
  scopes?: readonly string[]
  resource_url?: string
}

/** What conformance/go/main.go answers */
export interface GoAnswer {
  access_token?: string
  token_type?: string
  scope?: string
  expires_in?: number
  status?: number
  error?: string
  authorization?: string
}

/** The Go program, built into a cache folder. @throws MissingRuntime */
export async function prepareGo(): Promise<(request: GoRequest) => Promise<GoAnswer>> {
  const version = await runProgram('go', ['env', 'GOVERSION'], { cwd: source })
  if (version.status !== 0) throw new MissingRuntime('there is no go; install Go 1.26 or newer')
  const sources = ['main.go', 'go.mod', 'go.sum'].map((name) => readFileSync(join(source, name)))
  const fingerprint = createHash('sha256').update(Buffer.concat(sources)).digest('hex').slice(0, 12)
  const folder = await preparedOnce(`${version.stdout.trim()}-${fingerprint}`, build)
  return (request) => askProgram(join(folder, 'client'), [], { input: JSON.stringify(request) })
}

async function build(folder: string): Promise<void> {
  const { status, stderr } = await runProgram('go', ['build', '-o', join(folder, 'client'), '.'], {
    cwd: source,
    timeoutSeconds: 300,
    environment: { CGO_ENABLED: '0' },
  })
  if (status !== 0) throw new MissingRuntime(`go build failed: ${stderr.trim().slice(-600)}`)
}
