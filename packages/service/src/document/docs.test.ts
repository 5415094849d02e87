import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { compileExpression } from '../expressions/expression.ts'
import { serviceDocumentJsonSchema } from './document-schema.ts'
import { readServiceDocument } from './read-service-document.ts'

const page = readFileSync(new URL('../../../../docs/service-kit.md', import.meta.url), 'utf8')

const blocks = (kind: string) => [...page.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)].filter(([, name]) => name === kind)

describe('docs/service-kit.md', () => {
  it.each([...blocks('yaml'), ...blocks('json')].map(([, , text]) => text!))(
    'shows a document that loads: %#',
    (text) => {
      const { businessApis, edgeControllers, actions } = readServiceDocument(text)
      const parts = [businessApis, edgeControllers, ...Object.values(actions)].flat()
      expect(parts.length).toBeGreaterThan(0)
    },
  )

  const context = JSON.parse(blocks('json context')[0]![2]!)
  const [, table] = page.split('| expression | gives |')
  const rows = [...table!.split('\n\n')[0]!.matchAll(/^\| (`+)(.*?)\1 \| `(.*)` \|$/gm)].map(
    ([, , source, result]) => [source!, result!] as const,
  )

  it.each(rows)('says what %s gives', (source, result) => {
    expect(compileExpression(source.trim()).evaluate(context)).toEqual(JSON.parse(result))
  })

  it('has examples of expressions', () => {
    expect(rows.length).toBeGreaterThan(10)
  })

  it('names every member that there is', () => {
    const names = memberNames(serviceDocumentJsonSchema() as Schema)
    expect(names.length).toBeGreaterThan(40)
    expect(names.filter((name) => !page.includes(name))).toEqual([])
  })
})

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
}

function memberNames({ properties = {}, items = {} }: Schema): string[] {
  const own = Object.entries(properties).flatMap(([name, member]) => [name, ...memberNames(member)])
  return items.properties === undefined ? own : [...own, ...memberNames(items)]
}
