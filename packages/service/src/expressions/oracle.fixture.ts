import fc from 'fast-check'

/**
 * A random expression in two forms: as it is written, and as JavaScript in which each operator that the kit is stricter
 * about is a call of one of `strictOperators`. Both read `this`.
 */
export interface RandomExpression {
  readonly source: string
  readonly strict: string
}

const names = ['a', 'b', 'c', 'list', 'text']

const word = fc.constantFrom(...names)
const scalar: fc.Arbitrary<unknown> = fc.oneof(
  fc.integer({ min: -9, max: 99 }),
  fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }),
  fc.constantFrom('', 'x', '12', ' 7 ', 'text', 'é`${', '0x1f', 'Infinity'),
  fc.boolean(),
  fc.constant(null),
)

/** What `this` may be: nested JSON with names that the expressions use. */
export const contexts: fc.Arbitrary<Record<string, unknown>> = fc.letrec<{
  value: unknown
  object: Record<string, unknown>
}>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    scalar,
    fc.array(tie('value'), { maxLength: 3 }),
    tie('object'),
  ),
  object: fc.dictionary(word, tie('value'), { maxKeys: 5 }),
})).object

const same = (source: string): RandomExpression => ({ source, strict: source })

const both = (template: (form: (part: RandomExpression) => string) => string): RandomExpression => ({
  source: template(({ source }) => source),
  strict: template(({ strict }) => strict),
})

/** An operator that the strict form calls by name. */
const called = (operator: string, left: RandomExpression, right: RandomExpression): RandomExpression => ({
  source: `(${left.source} ${operator} ${right.source})`,
  strict: `strict[${JSON.stringify(operator)}](${left.strict}, ${right.strict})`,
})

export const randomExpressions: fc.Arbitrary<RandomExpression> = fc.letrec<{ any: RandomExpression }>((tie) => {
  const any = tie('any')
  const literal = scalar.map((value) =>
    same(typeof value === 'number' && value < 0 ? `(${value})` : JSON.stringify(value)),
  )
  const member = fc
    .tuple(word, fc.array(fc.tuple(word, fc.boolean()), { maxLength: 2 }))
    .map(([first, rest]) =>
      same(`this.${first}${rest.map(([name, optional]) => `${optional ? '?.' : '.'}${name}`).join('')}`),
    )
  const list = fc.array(fc.tuple(fc.boolean(), any), { maxLength: 3 })
  return {
    any: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      literal,
      member,
      fc.constantFrom(same('this'), same('undefined'), same('this.list.length'), same('this.text?.[0]')),
      fc
        .tuple(fc.constantFrom('+', '-', '*', '/', '%', '**', '<', '<=', '>', '>=', '==', '!='), any, any)
        .map(([operator, left, right]) => called(operator, left, right)),
      fc
        .tuple(fc.constantFrom('===', '!==', '&&', '||', '??'), any, any)
        .map(([operator, left, right]) => both((form) => `(${form(left)} ${operator} ${form(right)})`)),
      fc.tuple(fc.constantFrom('-', '+'), any).map(([operator, operand]) => ({
        source: `(${operator}${operand.source})`,
        strict: `strict["unary"](${JSON.stringify(operator)}, ${operand.strict})`,
      })),
      any.map((operand) => both((form) => `(!${form(operand)})`)),
      fc.tuple(any, any, any).map(([test, yes, no]) => both((form) => `(${form(test)} ? ${form(yes)} : ${form(no)})`)),
      fc
        .array(fc.tuple(word, any), { maxLength: 3 })
        .map((members) =>
          both((form) => `({ ${members.map(([name, value]) => `${name}: ${form(value)}`).join(', ')} })`),
        ),
      list.map((items) => ({
        source: `[${items.map(([spread, item]) => `${spread ? '...' : ''}${item.source}`).join(', ')}]`,
        strict: `[${items.map(([spread, item]) => (spread ? `...strict["list"](${item.strict})` : item.strict)).join(', ')}]`,
      })),
      fc.tuple(any, word, any).map(([spread, name, value]) => ({
        source: `({ ...${spread.source}, ${name}: ${value.source} })`,
        strict: `({ ...strict["object"](${spread.strict}), ${name}: ${value.strict} })`,
      })),
      fc.tuple(any, any).map(([one, other]) => ({
        source: `\`a\${${one.source}}b\${${other.source}}\``,
        strict: `strict["text"]("a", ${one.strict}, "b", ${other.strict})`,
      })),
      fc.tuple(any, any).map(([holder, key]) => ({
        source: `(${holder.source})[${key.source}]`,
        strict: `strict["member"](${holder.strict}, () => ${key.strict})`,
      })),
    ),
  }
}).any

/** Sums and comparisons without a parenthesis, to tell what binds tighter. */
export const flatExpressions: fc.Arbitrary<string> = fc
  .tuple(
    fc.integer({ min: 0, max: 9 }),
    fc.array(
      fc.tuple(
        fc.constantFrom('+', '-', '*', '/', '%', '**', '<', '>', '<=', '>=', '==', '!=', '===', '!==', '&&', '? 3 :'),
        fc.integer({ min: 1, max: 9 }),
      ),
      { maxLength: 8 },
    ),
  )
  .map(([first, rest]) => [first, ...rest.flat()].join(' '))

/** JavaScript's own operators, refusing what the kit refuses. */
export const strictOperators = {
  ...Object.fromEntries(
    ['-', '*', '/', '%', '**'].map((operator) => [
      operator,
      (left: unknown, right: unknown) => finite(script(operator)(number(left), number(right))),
    ]),
  ),
  ...Object.fromEntries(
    ['<', '<=', '>', '>='].map((operator) => [
      operator,
      (left: unknown, right: unknown) => script(operator)(primitive(left), primitive(right)),
    ]),
  ),
  '+': (left: unknown, right: unknown) =>
    typeof left === 'string' || typeof right === 'string'
      ? shown(left) + shown(right)
      : finite(script('+')(number(left), number(right))),
  '==': (left: unknown, right: unknown) => equal(left, right),
  '!=': (left: unknown, right: unknown) => !equal(left, right),
  unary: (operator: string, operand: unknown) => (operator === '-' ? -number(operand) : number(operand)),
  text: (...parts: unknown[]) => parts.map(shown).join(''),
  list(value: unknown) {
    if (!Array.isArray(value)) throw new Error('no list')
    return value
  },
  object(value: unknown) {
    if (value === undefined || value === null) return {}
    if (typeof value !== 'object' || Array.isArray(value)) throw new Error('no object')
    return value
  },
  member(holder: unknown, keyOf: () => unknown) {
    if (holder === undefined || holder === null) throw new Error('nothing to read from')
    const key = keyOf()
    if (typeof key !== 'string' && typeof key !== 'number') throw new Error('no name')
    return Object.hasOwn(Object(holder), key) ? (holder as Record<string, unknown>)[key] : undefined
  },
}

function script(operator: string): (left: unknown, right: unknown) => unknown {
  return new Function('left', 'right', `return left ${operator} right`) as (left: unknown, right: unknown) => unknown
}

function number(value: unknown): number {
  return finite(Number(primitive(value)))
}

function finite(value: unknown): number {
  if (!Number.isFinite(value)) throw new Error('no finite number')
  return value as number
}

function primitive(value: unknown): unknown {
  if (typeof value === 'object' && value !== null) throw new Error('an object')
  return value
}

function shown(value: unknown): string {
  if (primitive(value) === undefined || value === null) throw new Error('no text')
  return String(value)
}

function equal(left: unknown, right: unknown): unknown {
  const hasObject = [left, right].some((value) => typeof value === 'object' && value !== null)
  return hasObject ? left === right : script('==')(left, right)
}
