/**
 * Makes `src/protocol/*.ts` from `proto/*.proto`: `npm run protocol -w packages/spiffe` after a change there.
 *
 * The generators are fetched by npx at the versions below and are no dependencies of this project.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { protocolDigest } from './src/protocol-digest.fixture.ts'

const generators = ['@bufbuild/buf@1.75.0', 'ts-proto@2.18.0']

const options = [
  'env=node',
  'esModuleInterop=true',
  'importSuffix=.ts',
  'enumsAsLiterals=true',
  'unrecognizedEnum=false',
  'forceLong=number',
  'oneof=unions-value',
  'outputServices=grpc-js',
  'outputJsonMethods=false',
  'snakeToCamel=keys',
  'useOptionals=none',
]

const proto = join(import.meta.dirname, 'proto')
const target = join(import.meta.dirname, 'src/protocol')
const work = mkdtempSync(join(tmpdir(), 'protocol-'))

try {
  writeFileSync(join(work, 'buf.yaml'), JSON.stringify({ version: 'v2', modules: [{ path: proto }] }))
  const plugin = { local: 'protoc-gen-ts_proto', out: target, include_imports: true, opt: options }
  const template = JSON.stringify({ version: 'v2', clean: true, plugins: [plugin] })
  const packages = generators.flatMap((name) => ['--package', name])
  execFileSync('npx', ['--yes', ...packages, 'buf', 'generate', proto, '--template', template], {
    cwd: work,
    stdio: 'inherit',
  })
  for (const file of readdirSync(target, { recursive: true, encoding: 'utf8' })) {
    if (file.endsWith('.ts')) finish(join(target, file))
  }
  writeFileSync(join(target, 'DIGEST'), protocolDigest())
} finally {
  rmSync(work, { recursive: true })
}

/** Leaves out what Node cannot run as it stands: the namespaces that ts-proto puts beside enums are only types. */
function finish(path: string): void {
  const text = readFileSync(path, 'utf8')
  writeFileSync(path, text.replace(/^export namespace \w+ \{\n(?: .*\n)*\}\n\n?/gm, ''))
}
