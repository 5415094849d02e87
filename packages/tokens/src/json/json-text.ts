export interface JsonTextFacts {
  /** How many `"name":` the text holds, repeated ones included. */
  members: number
  /** A `\u` escape of half a surrogate pair. */
  loneSurrogate: boolean
  /** An integer literal beyond the integers that a double holds exactly. */
  inexactInteger: boolean
}

/** What JSON.parse does not tell about a text that it accepts. One pass that leaps from quote to quote. */
export function scanJsonText(text: string): JsonTextFacts {
  const facts: JsonTextFacts = { members: 0, loneSurrogate: false, inexactInteger: false }
  let position = 0
  for (;;) {
    const open = text.indexOf('"', position)
    if (open === -1) break
    if (open - position > 15 && hasInexactInteger(text.slice(position, open))) facts.inexactInteger = true
    const close = closingQuote(text, open)
    if (close.escaped && hasLoneSurrogate(text.slice(open, close.at + 1))) facts.loneSurrogate = true
    position = skipWhitespace(text, close.at + 1)
    if (text.charCodeAt(position) === colon) facts.members += 1
  }
  if (text.length - position > 15 && hasInexactInteger(text.slice(position))) facts.inexactInteger = true
  return facts
}

const quote = 0x22
const backslash = 0x5c
const colon = 0x3a

function closingQuote(text: string, open: number): { at: number; escaped: boolean } {
  let at = open + 1
  let escaped = false
  for (;;) {
    const code = text.charCodeAt(at)
    if (code === quote) return { at, escaped }
    if (code === backslash) {
      escaped = true
      at += 1
    }
    at += 1
  }
}

function skipWhitespace(text: string, from: number): number {
  let at = from
  while (text.charCodeAt(at) <= 0x20) at += 1
  return at
}

function hasLoneSurrogate(literal: string): boolean {
  return !(JSON.parse(literal) as string).isWellFormed()
}

function hasInexactInteger(betweenStrings: string): boolean {
  const integers = betweenStrings.match(/(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g)
  return integers?.some((literal) => BigInt(literal) !== BigInt(Number(literal))) ?? false
}
