import type { Data } from './own-data.ts'
import { OperandFault, type Run } from './run.ts'

/** Operators of two operands that are both worked out first. As in JavaScript, save that nothing becomes text or a number that has no meaning as one. */
export const binaryOperators: ReadonlyMap<string, (left: Data, right: Data, run: Run) => Data> = new Map<
  string,
  (left: Data, right: Data, run: Run) => Data
>([
  ['+', add],
  ['-', (left, right) => finite(number(left) - number(right))],
  ['*', (left, right) => finite(number(left) * number(right))],
  ['/', (left, right) => finite(number(left) / number(right))],
  ['%', (left, right) => finite(number(left) % number(right))],
  ['**', (left, right) => finite(number(left) ** number(right))],
  ['===', (left, right) => left === right],
  ['!==', (left, right) => left !== right],
  ['==', (left, right) => looselyEqual(left, right)],
  ['!=', (left, right) => !looselyEqual(left, right)],
  ['<', (left, right) => ordered(left) < ordered(right)],
  ['<=', (left, right) => ordered(left) <= ordered(right)],
  ['>', (left, right) => ordered(left) > ordered(right)],
  ['>=', (left, right) => ordered(left) >= ordered(right)],
])

export const unaryOperators: ReadonlyMap<string, (operand: Data) => Data> = new Map<string, (operand: Data) => Data>([
  ['!', (operand) => !operand],
  ['-', (operand) => -number(operand)],
  ['+', (operand) => number(operand)],
])

/** Texts of values, one behind the other. */
export function joined(parts: readonly Data[], run: Run): string {
  const texts = parts.map(textOf)
  run.spend({ characters: texts.reduce((length, text) => length + text.length, 0) })
  return texts.join('')
}

function add(left: Data, right: Data, run: Run): Data {
  const isText = typeof left === 'string' || typeof right === 'string'
  return isText ? joined([left, right], run) : finite(number(left) + number(right))
}

/** A text that says "undefined" or "[object Object]" is never meant. */
function textOf(value: Data): string {
  if (value === undefined || value === null) {
    throw new OperandFault(`what is ${value} has no text; write ?? '' behind it if it may be`)
  }
  if (isObject(value)) throw new OperandFault(`${kindOf(value)} has no text; name the member that is meant`)
  return String(value)
}

function number(value: Data): number {
  if (isObject(value)) throw new OperandFault(`${kindOf(value)} is no number`)
  if (value === undefined) throw new OperandFault('what is undefined is no number; write ?? 0 behind it if it may be')
  const result = Number(value)
  if (!Number.isFinite(result)) throw new OperandFault('a text is no number')
  return result
}

function finite(result: number): number {
  if (!Number.isFinite(result)) throw new OperandFault('the result is no finite number')
  return result
}

/** Objects equal only themselves, so that nothing of theirs is ever called. */
function looselyEqual(left: Data, right: Data): boolean {
  if (isObject(left) || isObject(right)) return left === right
  // biome-ignore lint/suspicious/noDoubleEquals: it is the operator that the expression names
  return left == right
}

function ordered(value: Data): string | number {
  if (isObject(value)) throw new OperandFault(`${kindOf(value)} is neither larger nor smaller than anything`)
  return typeof value === 'string' ? value : Number(value)
}

function isObject(value: Data): value is Exclude<Data, undefined | null | boolean | number | string> {
  return typeof value === 'object' && value !== null
}

function kindOf(value: object): string {
  return Array.isArray(value) ? 'an array' : 'an object'
}
