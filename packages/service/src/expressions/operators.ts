import type { Data } from './own-data.ts'

type Operate = (left: Data, right: Data) => Data

/** Thrown by an operator; who called it knows where it stands. */
export class OperandFault extends Error {}

export const longestText = 1_048_576

/** Every operator of two operands that are both worked out first. */
export const binaryOperators: Readonly<Record<string, Operate>> = {
  '+': (left, right) => (isText(left) || isText(right) ? joined([left, right]) : number(left) + number(right)),
  '-': (left, right) => number(left) - number(right),
  '*': (left, right) => number(left) * number(right),
  '/': (left, right) => number(left) / number(right),
  '%': (left, right) => number(left) % number(right),
  '**': (left, right) => number(left) ** number(right),
  '===': (left, right) => left === right,
  '!==': (left, right) => left !== right,
  '==': looselyEqual,
  '!=': (left, right) => !looselyEqual(left, right),
  '<': (left, right) => ordered(left) < ordered(right),
  '<=': (left, right) => ordered(left) <= ordered(right),
  '>': (left, right) => ordered(left) > ordered(right),
  '>=': (left, right) => ordered(left) >= ordered(right),
}

export const unaryOperators: Readonly<Record<string, (operand: Data) => Data>> = {
  '!': (operand) => !operand,
  '-': (operand) => -number(operand),
  '+': (operand) => number(operand),
}

/** Texts of values, one behind the other. What is missing would read "undefined", and that is never meant. */
export function joined(parts: readonly Data[]): string {
  const text = parts.map(textOf).join('')
  if (text.length > longestText) throw new OperandFault(`a text has at most ${longestText} characters`)
  return text
}

function textOf(value: Data): string {
  if (typeof value === 'object' && value !== null) {
    throw new OperandFault(`${kindOf(value)} is no text; name the member that is meant`)
  }
  if (value === undefined || value === null) {
    throw new OperandFault(`a text cannot hold what is ${value}; write ?? '' behind it if it may be missing`)
  }
  return String(value)
}

function number(value: Data): number {
  if (typeof value === 'object' && value !== null) throw new OperandFault(`${kindOf(value)} is no number`)
  const result = Number(value)
  if (Number.isNaN(result)) {
    throw new OperandFault(value === undefined ? 'what is undefined is no number' : 'the text is no number')
  }
  return result
}

/** Objects equal only themselves, so that nothing of theirs is ever called. */
function looselyEqual(left: Data, right: Data): boolean {
  if (isObject(left) || isObject(right)) return left === right
  // biome-ignore lint/suspicious/noDoubleEquals: it is the operator that the expression names
  return left == right
}

function ordered(value: Data): string | number {
  if (isObject(value)) throw new OperandFault(`${kindOf(value)} cannot be compared by size`)
  return isText(value) ? value : Number(value)
}

function isText(value: Data): value is string {
  return typeof value === 'string'
}

function isObject(value: Data): value is object & Data {
  return typeof value === 'object' && value !== null
}

function kindOf(value: Data): string {
  return Array.isArray(value) ? 'an array' : 'an object'
}
