import { formatDuration } from '../duration.ts'
import { paint } from '../output.ts'
import { printable } from '../printable.ts'
import { defaultApi, defaultClient } from './access.ts'
import { defaultEntry } from './entry.ts'
import type { FieldChange } from './field-changes.ts'
import type { Step } from './plan.ts'

const marks = { create: paint('green', '+'), update: paint('yellow', '~'), delete: paint('red', '-') }

/** The difference for eyes: a line for each change, and one for each field of it. */
export function renderPlan(steps: readonly Step[]): string {
  return steps.map(renderStep).join('\n')
}

/** `2 to create, 1 to delete` */
export function countSteps(steps: readonly Step[], words: Record<Step['action'], string>): string {
  const actions = ['create', 'update', 'delete'] as const
  const counts = actions.map((action) => ({ action, count: steps.filter((step) => step.action === action).length }))
  return counts
    .filter(({ count }) => count > 0)
    .map(({ action, count }) => `${count} ${words[action]}`)
    .join(', ')
}

function renderStep({ action, kind, name, fields }: Step): string {
  const title = `${marks[action]} ${kind} ${printable(name)}`
  if (action === 'delete') return title
  const worthSaying = action === 'create' ? fields.filter((change) => !isDefault(change, name)) : fields
  return [title, ...worthSaying.map((change) => renderField(change, action))].join('\n')
}

function renderField({ field, from, to }: FieldChange, action: Step['action']): string {
  if (action === 'create') return `    ${field}: ${shown(field, to)}`
  if (Array.isArray(from) && Array.isArray(to)) return `    ${field}: ${listDifference(field, from, to)}`
  return `    ${field}: ${shown(field, from)} -> ${shown(field, to)}`
}

function listDifference(field: string, from: readonly unknown[], to: readonly unknown[]): string {
  const before = from.map((item) => itemText(item))
  const after = to.map((item) => itemText(item))
  const gone = before.filter((item) => !after.includes(item)).map((item) => paint('red', `-${item}`))
  const come = after.filter((item) => !before.includes(item)).map((item) => paint('green', `+${item}`))
  return [...gone, ...come].join(' ') || shown(field, to)
}

function shown(field: string, value: unknown): string {
  if (value === null || value === undefined) return 'none'
  if (Array.isArray(value)) return value.map((item) => itemText(item)).join(', ') || 'none'
  if (field.endsWith('_ttl') && typeof value === 'number') return value === 0 ? 'default' : formatDuration(value)
  if (typeof value === 'object') return printable(JSON.stringify(value))
  return printable(typeof value === 'string' ? JSON.stringify(value) : String(value))
}

function itemText(item: unknown): string {
  if (typeof item === 'string') return printable(item)
  const { name, description } = item as { name: string; description: string }
  return printable(description === '' ? name : `${name} (${description})`)
}

function isDefault({ field, to }: FieldChange, name: string): boolean {
  const defaults: Record<string, unknown> = { ...defaultApi, ...defaultClient, ...defaultEntry, name }
  return Array.isArray(to) ? to.length === 0 : defaults[field] === to
}
