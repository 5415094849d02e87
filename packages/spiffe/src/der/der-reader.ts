/** One element of DER: its tag byte, what is in it, and all its bytes. */
export interface DerElement {
  readonly tag: number
  readonly content: Buffer
  readonly whole: Buffer
}

/** What is not DER. Callers turn it into the error of what they were reading. */
export class DerError extends Error {
  override readonly name = 'DerError'
}

/** Tag bytes (X.680 section 8, X.690 section 8.1.2). */
export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  universalString: 0x1c,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const

/** The tag byte of `[number]`, with other elements in it or with a bare value. */
export function contextTag(number: number, form: 'constructed' | 'primitive'): number {
  return (form === 'constructed' ? 0xa0 : 0x80) | number
}

/**
 * Reads elements of DER one after the other: definite lengths in their shortest form, tags of one byte, nothing beyond
 * the end. It never recurses, so that depth is what its caller asks for.
 */
export class DerReader {
  readonly #bytes: Buffer
  readonly #what: string
  #position = 0

  /** `what` names the structure in messages. */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#what = what
  }

  get isAtEnd(): boolean {
    return this.#position === this.#bytes.length
  }

  nextTag(): number | undefined {
    return this.#bytes[this.#position]
  }

  next(): DerElement {
    const bytes = this.#bytes
    const start = this.#position
    const tag = bytes[start]
    if (tag === undefined) throw new DerError(`${this.#what} ends too early`)
    if ((tag & 0x1f) === 0x1f) throw new DerError(`${this.#what} has a tag of several bytes`)
    const { length, contentStart } = this.#readLength(start + 1)
    const end = contentStart + length
    if (end > bytes.length) throw new DerError(`${this.#what} ends too early`)
    this.#position = end
    return { tag, content: bytes.subarray(contentStart, end), whole: bytes.subarray(start, end) }
  }

  expect(tag: number): DerElement {
    const found = this.nextTag()
    if (found !== undefined && found !== tag) {
      throw new DerError(`${this.#what} has an element ${hex(found)} where ${hex(tag)} is due`)
    }
    return this.next()
  }

  optional(tag: number): DerElement | undefined {
    return this.nextTag() === tag ? this.next() : undefined
  }

  /** Throws unless everything was read. */
  end(): void {
    if (!this.isAtEnd) throw new DerError(`${this.#what} has bytes after its end`)
  }

  #readLength(at: number): { length: number; contentStart: number } {
    const first = this.#bytes[at]
    if (first === undefined) throw new DerError(`${this.#what} ends too early`)
    if (first < 0x80) return { length: first, contentStart: at + 1 }
    const count = first & 0x7f
    // 0x80 alone is BER's indefinite length; three bytes are 16 MiB, far above what is read here.
    if (count === 0 || count > 3) throw new DerError(`${this.#what} has a length that DER does not allow`)
    if (at + 1 + count > this.#bytes.length) throw new DerError(`${this.#what} ends too early`)
    const length = this.#bytes.readUIntBE(at + 1, count)
    if (length < 0x80 || length < 2 ** (8 * (count - 1))) {
      throw new DerError(`${this.#what} has a length that is not in its shortest form`)
    }
    return { length, contentStart: at + 1 + count }
  }
}

/** The single element that the bytes are. */
export function readOnly(bytes: Uint8Array, tag: number, what: string): DerElement {
  const reader = new DerReader(bytes, what)
  const element = reader.expect(tag)
  reader.end()
  return element
}

/** The elements of a SEQUENCE or SET, at most `maximum` of them. */
export function readAll(content: Buffer, what: string, maximum: number): DerElement[] {
  const reader = new DerReader(content, what)
  const elements: DerElement[] = []
  while (!reader.isAtEnd) {
    if (elements.length === maximum) throw new DerError(`${what} has more than ${maximum} elements`)
    elements.push(reader.next())
  }
  return elements
}

function hex(tag: number): string {
  return `0x${tag.toString(16).padStart(2, '0')}`
}
