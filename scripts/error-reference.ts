import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './modern-node.js'

/** Every error code there is, by package, with the sentences that come with it. */
export function errorReference(): string {
  const sections = readdirSync(join(root, 'packages')).sort().flatMap(packageErrors)
  return `# Errors\n\nMade from the source by \`npm run fix\`. \`…\` stands for what the program fills in.\n\n${sections.join('\n')}`
}

function packageErrors(folder: string): string[] {
  const texts = sources(join(root, 'packages', folder, 'src')).map((file) => readFileSync(file, 'utf8'))
  return [...texts.join('\n').matchAll(/export type (\w+)ErrorCode =((?:\s*\|?\s*'\w+')+)/g)].map(
    ([, family, union]) => {
      const codes = [...(union as string).matchAll(/'(\w+)'/g)].map(([, code]) => code as string)
      const lines = codes.map((code) => {
        const sentences = texts.flatMap((text) => sentencesOf(text, `${family}Error`, code))
        return [`- \`${code}\``, ...[...new Set(sentences)].sort().map((sentence) => `  - ${sentence}`)].join('\n')
      })
      return `## ${family}Error (${folder})\n\n${lines.join('\n')}\n`
    },
  )
}

/** The sentences that stand in one file for `new ClassError('code', ...)`, or for a function of it that makes just that. */
function sentencesOf(text: string, className: string, code: string): string[] {
  const literals = /(?:'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`)(?:\s*\+\s*(?:'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`))*/.source
  const find = (before: string) =>
    [...text.matchAll(new RegExp(`${before}(${literals})`, 'g'))].map(([, found]) => joined(found!))
  const thrown = [
    ...text.matchAll(
      new RegExp(`= (${literals})\\s*(?:throw|reject\\() ?new ${className}\\(\\s*(?:\\w+,\\s*)?'${code}',`, 'g'),
    ),
  ]
  const made = new RegExp(
    `function (\\w+)\\((\\w+): string\\): ${className} \\{\\s*return new ${className}\\(\\s*'${code}',\\s*(\\w+|${literals})`,
    'g',
  )
  const makers = [...text.matchAll(made)].map(([, name, parameter, message]) => ({
    sentences: find(`\\b${name}\\(\\s*`),
    frame: message === parameter ? '…' : joined(message!),
  }))
  const filled = new Set(makers.filter(({ sentences }) => sentences.length > 0).map(({ frame }) => frame))
  const hasTable = new RegExp(`code: '${code}'.* sentences\\[`).test(text)
  const sentences = [
    ...find(`new ${className}\\(\\s*(?:\\w+,\\s*)?'${code}',\\s*`).filter((sentence) => !filled.has(sentence)),
    ...thrown.map(([, found]) => joined(found!)),
    ...makers.flatMap(({ sentences, frame }) => sentences.map((sentence) => frame.replace('…', () => sentence))),
    ...(className === 'GuardError' ? find(`code: '${code}',\\s*reason: [^,\\n]+,\\s*message:\\s*`) : []),
    ...(hasTable ? find('\\n  \\w+: ') : []),
  ]
  return sentences.filter((sentence) => /\w{2}/.test(sentence))
}

/** One literal, or several that are put together. */
function joined(literals: string): string {
  const parts = [...literals.matchAll(/'((?:[^'\\]|\\.)*)'|`((?:[^`\\]|\\.)*)`/g)]
  return parts.map(([, quoted, template]) => plain(quoted ?? (template as string))).join('')
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
