import { format, inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { Secret } from './secret.ts'

describe('Secret', () => {
  const secret = new Secret('canary-7f3a')

  it('gives its value only when asked to reveal it', () => {
    expect(secret.reveal()).toBe('canary-7f3a')
  })

  it('shows nothing of itself in text, JSON, logs or its properties', () => {
    const shown = [
      String(secret),
      `${secret}`,
      JSON.stringify({ secret }),
      inspect({ secret }, { showHidden: true, depth: 9 }),
      format('%s %o %j', secret, secret, secret),
      JSON.stringify(Object.entries(secret)),
      JSON.stringify(structuredClone({ ...secret })),
    ].join('\n')
    expect(shown).not.toContain('canary')
    expect(shown).toContain('[redacted]')
  })
})
