import { hash } from 'node:crypto'
import { style } from './docs-style.ts'
import type { JsonSchema, OpenApiDocument, OpenApiOperation } from './openapi.ts'

/** Nothing but this page itself and this very style may take effect on it. */
export const docsPolicy = [
  "default-src 'none'",
  `style-src 'sha256-${hash('sha256', style, 'base64')}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** The OpenAPI document as one page to read: no scripts, nothing from elsewhere. */
export function docsPage(document: OpenApiDocument): string {
  const groups = groupByTag(document)
  const contents = [...groups].map(
    ([tag, operations]) => `<li><a href="#${slug(tag)}">${text(tag)}</a> <span>${operations.length}</span></li>`,
  )
  const sections = [...groups].map(
    ([tag, operations]) =>
      `<section id="${slug(tag)}"><h2>${text(tag)}</h2>${operations.map(operationArticle).join('')}</section>`,
  )
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(document.info.title)}</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>${text(document.info.title)}</h1>
<p>${prose(document.info.description)}</p>
<p>Send an access token for the audience <code>urn:countersign:admin</code> as <code>Authorization: Bearer</code>; each operation names the scope that it takes. For programs: <a href="openapi.json">openapi.json</a>.</p>
</header>
<nav aria-label="Contents"><ul>${contents.join('')}</ul></nav>
<main>${sections.join('')}</main>
</body>
</html>
`
}

interface Operation extends OpenApiOperation {
  method: string
  path: string
}

function groupByTag({ paths }: OpenApiDocument): Map<string, Operation[]> {
  const groups = new Map<string, Operation[]>()
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const tag = operation.tags?.[0] ?? 'Other'
      const group = groups.get(tag) ?? []
      groups.set(tag, group)
      group.push({ ...operation, method, path })
    }
  }
  return groups
}

function operationArticle(operation: Operation): string {
  const { method, path, summary, description, parameters = [], requestBody } = operation
  const scopes = operation.security?.flatMap(({ admin }) => admin ?? []) ?? []
  const body = requestBody?.content['application/json']?.schema
  const [status, answer] = Object.entries(operation.responses).find(([code]) => code.startsWith('2')) ?? []
  const answered = answer?.content?.['application/json']?.schema
  return `<article>
<h3><span class="method ${method}">${method.toUpperCase()}</span> <code>${text(path)}</code></h3>
<p>${prose(summary)}${scopes.length > 0 ? ` <span class="scope">${scopes.map(text).join(' or ')}</span>` : ''}</p>
${description ? `<p class="more">${prose(description)}</p>` : ''}
${
  parameters.length > 0
    ? table(
        'Parameters',
        parameters.map((each) => row(each.name, each.schema, each.required === true, each.description)),
      )
    : ''
}
${body ? schemaTable('Body', body) : ''}
${status ? `<p class="answer">Answers <b>${text(status)}</b>${answered ? '' : ' without a body'}</p>` : ''}
${answered ? `<details><summary>What is in it</summary>${schemaTable('', answered)}</details>` : ''}
</article>`
}

function schemaTable(caption: string, schema: JsonSchema): string {
  const object = schema.properties ? schema : schema.anyOf?.find(({ properties }) => properties)
  if (!object) return ''
  const rows = members(object, '')
  return rows.length > 0 ? table(caption, rows) : ''
}

/** Members of members are listed in place, two levels deep. */
function members(schema: JsonSchema, prefix: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, member]) => {
    const inner = member.items?.properties ? member.items : undefined
    const own = row(
      `${prefix}${name}`,
      member,
      schema.required?.includes(name) === true && member.default === undefined,
    )
    return inner && prefix === '' ? [own, ...members(inner, `${name}[].`)] : [own]
  })
}

function table(caption: string, rows: readonly string[]): string {
  const head = caption === '' ? '' : `<caption>${text(caption)}</caption>`
  return `<table>${head}<tbody>${rows.join('')}</tbody></table>`
}

function row(name: string, schema: JsonSchema, required: boolean, description = schema.description): string {
  const notes = [description && prose(description), ...limits(schema).map(text)].filter(Boolean)
  return `<tr><th scope="row"><code>${text(name)}</code>${required ? '<i>required</i>' : ''}</th><td>${text(typeOf(schema))}</td><td>${notes.join('; ')}</td></tr>`
}

function typeOf(schema: JsonSchema): string {
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ')
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  const choices = schema.anyOf ?? schema.oneOf
  if (choices) return [...new Set(choices.map(typeOf))].join(' | ')
  if (schema.type === 'array') return `list of ${schema.items ? typeOf(schema.items) : 'anything'}`
  if (schema.format === 'date-time') return 'time'
  return [schema.type ?? 'anything'].flat().join(' | ')
}

function limits(schema: JsonSchema): string[] {
  const { minimum, maximum, maxLength, maxItems } = schema
  const isBounded = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER
  return [
    schema.default === undefined ? '' : `default ${JSON.stringify(schema.default)}`,
    isBounded ? `${minimum ?? 0} to ${maximum}` : '',
    maxLength === undefined ? '' : `at most ${maxLength} characters`,
    maxItems === undefined ? '' : `at most ${maxItems}`,
  ].filter((note) => note !== '')
}

function prose(value = ''): string {
  return text(value).replaceAll(/`([^`]*)`/g, '<code>$1</code>')
}

function text(value: string): string {
  return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

function slug(tag: string): string {
  return tag.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')
}
