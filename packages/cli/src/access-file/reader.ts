import { secondsOf } from '../duration.ts'
import { nearest } from './nearest.ts'
import type { Path, Places } from './places.ts'

/** Reads values from a file's plain data, and gathers everything that is wrong, each with its line. */
export class Reader {
  readonly faults: string[] = []
  readonly #places: Places

  constructor(places: Places) {
    this.#places = places
  }

  fault(path: Path, message: string): void {
    this.faults.push(`${this.place(path)}: ${message}`)
  }

  /** Such as `access.yaml:12` */
  place(path: Path): string {
    return this.#places.of(path)
  }

  /** An object with no other keys than these. */
  object(
    value: unknown,
    path: Path,
    known: readonly string[],
    required: readonly string[] = [],
  ): Record<string, unknown> {
    const faultsBefore = this.faults.length
    const members = this.members(value, path)
    if (this.faults.length > faultsBefore) return members
    for (const key of Object.keys(members)) {
      if (!known.includes(key))
        this.fault([...path, key], `there is no key "${key}" ${placeName(path)}${nearest(key, known)}`)
    }
    for (const key of required) {
      if (members[key] === undefined || members[key] === null)
        this.fault(path, `"${key}" is missing ${placeName(path)}; add a line "${key}: ..."`)
    }
    return members
  }

  members(value: unknown, path: Path): Record<string, unknown> {
    if (value === undefined || value === null) return {}
    if (typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>
    this.fault(path, `${shownPath(path)} must be "key: value" lines, not ${kindOf(value)}`)
    return {}
  }

  list<Item>(value: unknown, path: Path, read: (value: unknown, path: Path, reader: Reader) => Item): Item[] {
    if (value === undefined || value === null) return []
    if (Array.isArray(value)) return value.map((item, index) => read(item, [...path, index], this))
    this.fault(path, `${shownPath(path)} must be a list, each item after "- ", not ${kindOf(value)}`)
    return []
  }

  text(value: unknown, path: Path): string | undefined {
    if (value === undefined || value === null) return undefined
    if (typeof value === 'string' && value.trim() !== '') return value
    this.fault(path, `${shownPath(path)} must be text, not ${value === '' ? 'empty' : kindOf(value)}`)
    return undefined
  }

  texts(value: unknown, path: Path): string[] | undefined {
    if (value === undefined || value === null) return undefined
    const texts = this.list(value, path, (item, at) => this.text(item, at) ?? '')
    this.noneTwice(texts, path)
    return texts
  }

  boolean(value: unknown, path: Path): boolean | undefined {
    if (value === undefined || value === null) return undefined
    if (typeof value === 'boolean') return value
    this.fault(path, `${shownPath(path)} must be true or false, not ${kindOf(value)}`)
    return undefined
  }

  seconds(value: unknown, path: Path): number | undefined {
    if (value === undefined || value === null) return undefined
    try {
      return secondsOf(String(value), String(path.at(-1)))
    } catch (error) {
      this.fault(path, (error as Error).message)
      return undefined
    }
  }

  choice(value: unknown, path: Path, choices: readonly string[]): string | undefined {
    if (value === undefined || value === null) return undefined
    if (typeof value === 'string' && choices.includes(value)) return value
    this.fault(path, `${shownPath(path)} must be one of ${choices.join(', ')}, not ${JSON.stringify(value)}`)
    return undefined
  }

  /** RFC 6749 section 3.3 */
  scope(value: unknown, path: Path): string {
    // That it is missing has been told.
    if (value === undefined) return ''
    if (typeof value === 'string' && /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(value)) return value
    this.fault(
      path,
      `${JSON.stringify(value)} is not a scope; use printable ASCII without spaces, quotes and backslashes`,
    )
    return ''
  }

  noneTwice(names: readonly string[], path: Path, key?: string): void {
    names.forEach((name, index) => {
      if (name === '' || names.indexOf(name) === index) return
      this.fault(
        key === undefined ? [...path, index] : [...path, index, key],
        `${JSON.stringify(name)} is there a second time; keep one of them`,
      )
    })
  }
}

function placeName(path: Path): string {
  if (path.length === 0) return 'in an access file'
  if (path.length > 2) return `in ${shownPath(path)}`
  if (path[0] === 'entries') return 'in an entry'
  return path[0] === 'apis' ? 'in an API' : 'in a client'
}

function shownPath(path: Path): string {
  return path.length === 0 ? 'the file' : `"${path.filter((step) => typeof step === 'string').at(-1)}"`
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'an object'
  if (typeof value === 'string') return 'text'
  return typeof value === 'boolean' ? 'true or false' : `a ${typeof value}`
}
