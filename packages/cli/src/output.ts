import { styleText } from 'node:util'
import { printable, printableJson } from './printable.ts'

export interface OutputOptions {
  json?: boolean
}

export interface Column<Item> {
  title: string
  value: (item: Item) => unknown
}

export interface Page<Item> {
  items: readonly Item[]
  next: string | null
}

/** One resource: as JSON as the admin API shows it, or its fields one below the other. */
export function printResource(
  resource: unknown,
  options: OutputOptions,
  fields: readonly (readonly [string, unknown])[],
): void {
  if (options.json) {
    printJson(resource)
    return
  }
  const width = Math.max(...fields.map(([label]) => label.length))
  for (const [label, value] of fields) {
    writeLine(`${paint('dim', `${label}:`.padEnd(width + 1))} ${shown(value)}`)
  }
}

/** A list: as JSON `{ items, next }`, or a table. */
export function printList<Item>(
  page: Page<Item>,
  options: OutputOptions & { nothing?: string },
  columns: readonly Column<Item>[],
): void {
  if (options.json) {
    printJson(page)
    return
  }
  if (page.items.length === 0) note(options.nothing ?? 'There are none.')
  else printTable(page.items, columns)
  if (page.next !== null) note(`There are more; go on with --cursor ${page.next} or ask for more at once with --limit.`)
}

export function printTable<Item>(items: readonly Item[], columns: readonly Column<Item>[]): void {
  const rows = items.map((item) => columns.map(({ value }) => shown(value(item))))
  const widths = columns.map(({ title }, index) => Math.max(title.length, ...rows.map((row) => row[index]!.length)))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, index) => cell.padEnd(widths[index]!))
      .join('  ')
      .trimEnd()
  writeLine(paint('bold', line(columns.map(({ title }) => title))))
  for (const row of rows) writeLine(line(row))
}

/** Pretty for eyes, one line for programs. */
export function printJson(value: unknown): void {
  writeLine(printableJson(value, process.stdout.isTTY ? 2 : undefined))
}

export function writeLine(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** What people should know and programs should not read: goes to stderr. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** The first few of a long list, and how many more there are. */
export function shortened(items: readonly string[], separator: string, most = 4): string {
  if (items.length <= most) return items.join(separator)
  return `${items.slice(0, most - 1).join(separator)}${separator}+${items.length - most + 1}`
}

export type Paint = Parameters<typeof styleText>[0]

/** Colours only on a terminal and never under NO_COLOR (styleText asks the stream and the environment). */
export function paint(style: Paint, text: string): string {
  return styleText(style, text, { stream: process.stdout })
}

function shown(value: unknown): string {
  if (value === null || value === undefined || value === '') return '-'
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.map(shown).join(', ')
  return printable(typeof value === 'object' ? JSON.stringify(value) : String(value))
}
