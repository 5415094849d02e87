/**
 * How many `"name":` a JSON text holds, repeated ones included. The text must be valid JSON. Leaps from quote to quote:
 * only strings are followed by a colon.
 */
export function countMembersInText(text: string): number {
  const closingQuote = text.includes('\\') ? closingQuoteAmongEscapes : nextQuote
  let members = 0
  let open = nextQuote(text, 0)
  while (open !== -1) {
    const after = skipWhitespace(text, closingQuote(text, open + 1) + 1)
    if (text.charCodeAt(after) === colon) members += 1
    open = nextQuote(text, after)
  }
  return members
}

/** Whether a valid JSON text holds an integer literal that a double cannot hold exactly. */
export function hasInexactInteger(text: string): boolean {
  let position = 0
  for (let open = nextQuote(text, 0); open !== -1; open = nextQuote(text, position)) {
    if (open - position > exactDigits && isInexactAmong(text.slice(position, open))) return true
    position = closingQuoteAmongEscapes(text, open + 1) + 1
  }
  return isInexactAmong(text.slice(position))
}

const exactDigits = 15
const longIntegers = /(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g

function isInexactAmong(betweenStrings: string): boolean {
  const literals = betweenStrings.match(longIntegers) ?? []
  return literals.some((literal) => literal.length > 310 || BigInt(literal) !== BigInt(Number(literal)))
}

const quote = 0x22
const backslash = 0x5c
const colon = 0x3a
const space = 0x20

function nextQuote(text: string, from: number): number {
  return text.indexOf('"', from)
}

function closingQuoteAmongEscapes(text: string, from: number): number {
  let at = from
  for (let code = text.charCodeAt(at); code !== quote; code = text.charCodeAt(at)) at += code === backslash ? 2 : 1
  return at
}

function skipWhitespace(text: string, from: number): number {
  let at = from
  while (text.charCodeAt(at) <= space) at += 1
  return at
}
