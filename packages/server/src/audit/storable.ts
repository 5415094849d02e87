import type { AuditFact } from './event.ts'

// NUL is no text for PostgreSQL, and half of a surrogate pair has no canonical JSON. One such value, sent by anybody as
// a client id, would fail the whole commit that it shares with others' tokens.
const unstorable = /\0/g
/** Secrets that we make are told by their prefix, wherever a confused client has put one. */
const secrets = /cs_secret_[A-Za-z0-9]{6,}/g

/** The fact with every text in it fit to be stored and read by others. Returns it as it is where nothing is wrong. */
export function storable(fact: AuditFact): AuditFact {
  let changed: Record<string, unknown> | undefined
  for (const [name, value] of Object.entries(fact)) {
    const clean = storableValue(value)
    if (clean === value) continue
    changed ??= { ...fact }
    changed[name] = clean
  }
  return (changed as AuditFact | undefined) ?? fact
}

/** @param text what somebody sent; any length */
export function redactSecrets(text: string): string {
  return text.includes('cs_secret_') ? text.replaceAll(secrets, '[redacted]') : text
}

function storableValue(value: unknown): unknown {
  if (typeof value === 'string') return storableText(value)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(storableValue)
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [storableText(name), storableValue(member)]))
}

function storableText(text: string): string {
  const wellFormed = text.isWellFormed() ? text : text.toWellFormed()
  return redactSecrets(wellFormed.includes('\0') ? wellFormed.replaceAll(unstorable, '\ufffd') : wellFormed)
}
