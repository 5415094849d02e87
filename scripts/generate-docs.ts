// Writes the docs that come from the code: `generate-docs.ts [--check]`. With --check it only says what is out of step.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { configJsonSchema } from '@countersign/server'
import { serviceDocumentJsonSchema } from '@countersign/service'
import { root } from './modern-node.js'

const documents: Record<string, string> = {
  'docs/errors.md': errorReference(),
  'docs/countersign.schema.json': jsonText(configJsonSchema()),
  'docs/countersign-service.schema.json': jsonText(serviceDocumentJsonSchema()),
}

let stale = 0
for (const [path, text] of Object.entries(documents)) {
  const file = join(root, path)
  if (existsSync(file) && readFileSync(file, 'utf8') === text) continue
  if (process.argv.includes('--check')) {
    stale += 1
    console.log(`${path} is not what the code says`)
  } else {
    writeFileSync(file, text)
  }
}
process.exit(stale === 0 ? 0 : 1)

function jsonText(schema: object): string {
  return `${JSON.stringify(schema, null, 2)}\n`
}

/** Every error code there is, by package, with the sentences that come with it. */
function errorReference(): string {
  const sections = readdirSync(join(root, 'packages')).sort().flatMap(packageErrors)
  return `# Errors\n\nMade from the source by \`npm run fix\`. \`…\` stands for what the program fills in.\n\n${sections.join('\n')}`
}

function packageErrors(folder: string): string[] {
  const texts = sources(join(root, 'packages', folder, 'src')).map((file) => readFileSync(file, 'utf8'))
  const all = texts.join('\n')
  return [...all.matchAll(/export type (\w+)ErrorCode =((?:\s*\|?\s*'[a-z_]+')+)/g)].map(([, family, union]) => {
    const codes = [...(union as string).matchAll(/'([a-z_]+)'/g)].map(([, code]) => code as string)
    const lines = codes.map((code) => {
      const sentences = [...new Set(sentencesOf(all, `${family}Error`, code))].sort()
      return [`- \`${code}\``, ...sentences.map((sentence) => `  - ${sentence}`)].join('\n')
    })
    return `## ${family}Error (${folder})\n\n${lines.join('\n')}\n`
  })
}

function sentencesOf(text: string, className: string, code: string): string[] {
  const pattern = new RegExp(`new ${className}\\(\\s*'${code}',\\s*(['\`])((?:(?!\\1)[^\\\\]|\\\\.)*)\\1`, 'g')
  return [...text.matchAll(pattern)].map(([, , sentence]) => plain(sentence as string))
}

/** The sentence of a template literal, what it fills in left open. */
function plain(template: string): string {
  let sentence = ''
  let depth = 0
  for (let index = 0; index < template.length; index++) {
    if (template.startsWith('${', index)) {
      if (depth === 0) sentence += '…'
      depth += 1
      index += 1
    } else if (depth > 0) {
      if (template[index] === '{') depth += 1
      if (template[index] === '}') depth -= 1
    } else sentence += template[index]
  }
  return sentence.replaceAll(/\\(.)/g, '$1').replaceAll('|', '\\|').replaceAll('<', '&lt;')
}

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !/\.(test|fixture)\.ts$/.test(name))
    .sort()
    .map((name) => join(folder, name))
}
