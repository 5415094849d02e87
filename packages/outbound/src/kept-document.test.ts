import { describe, expect, it } from 'vitest'
import { KeptDocument, type KeptDocumentOptions, type LoadedDocument } from './kept-document.ts'

/** A document whose loads the test answers one by one, on a clock that stands still. */
function keptDocument(options: Partial<KeptDocumentOptions<string>> = {}) {
  const clock = { milliseconds: 1_000_000 }
  const loads: { etag: string | undefined; succeed(loaded: LoadedDocument<string>): void; fail(error: Error): void }[] =
    []
  const document = new KeptDocument<string>({
    now: () => clock.milliseconds,
    random: () => 0,
    load: (previous) =>
      new Promise((succeed, fail) => {
        loads.push({ etag: previous?.etag, succeed, fail })
      }),
    ...options,
  })
  const pass = (seconds: number) => {
    clock.milliseconds += seconds * 1_000
  }
  return { document, loads, pass }
}

async function loadedDocument(
  options?: Partial<KeptDocumentOptions<string>>,
  first: LoadedDocument<string> = { value: 'one' },
) {
  const kept = keptDocument(options)
  const value = kept.document.get()
  kept.loads[0]?.succeed(first)
  await value
  return kept
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

describe('KeptDocument', () => {
  it('loads once for all who ask at the same time', async () => {
    const { document, loads } = keptDocument()
    const asked = Array.from({ length: 100 }, () => document.get())
    expect(loads).toHaveLength(1)
    loads[0]?.succeed({ value: 'one' })
    expect(new Set(await Promise.all(asked))).toEqual(new Set(['one']))
  })

  it('does not load while the copy is fresh', async () => {
    const { document, loads, pass } = await loadedDocument()
    pass(299)
    expect(await document.get()).toBe('one')
    expect(document.current()).toBe('one')
    expect(loads).toHaveLength(1)
  })

  it('answers at once from an old copy and loads behind it, once', async () => {
    const { document, loads, pass } = await loadedDocument()
    pass(301)
    expect(await Promise.all(Array.from({ length: 100 }, () => document.get()))).toEqual(Array(100).fill('one'))
    expect(document.current()).toBe('one')
    expect(loads).toHaveLength(2)
    loads[1]?.succeed({ value: 'two' })
    await settled()
    expect(await document.get()).toBe('two')
  })

  it('serves the old copy through an outage for as long as it may be stale, and then throws', async () => {
    const { document, loads, pass } = await loadedDocument({ staleSeconds: 3_600 })
    for (let minute = 6; minute < 60; minute += 1) {
      pass(minute === 6 ? 360 : 60)
      expect(await document.get()).toBe('one')
      loads.at(-1)?.fail(new Error('down'))
      await settled()
    }
    pass(61)
    expect(document.peek()).toBeUndefined()
    expect(document.current()).toBeUndefined()
    const asked = document.get()
    loads.at(-1)?.fail(new Error('still down'))
    await expect(asked).rejects.toThrow('still down')
  })

  it('asks again only after the cooldown while loads fail', async () => {
    const { document, loads, pass } = keptDocument({ cooldownSeconds: 10 })
    const asked = document.get()
    loads[0]?.fail(new Error('down'))
    await expect(asked).rejects.toThrow('down')
    for (let second = 0; second < 9; second += 1) {
      pass(1)
      await expect(document.get()).rejects.toThrow('down')
      await document.refresh()
    }
    expect(loads).toHaveLength(1)
    pass(2)
    const again = document.get()
    loads[1]?.succeed({ value: 'one' })
    expect(await again).toBe('one')
  })

  it('keeps the cooldown behind a stale copy as well', async () => {
    const { document, loads, pass } = await loadedDocument()
    pass(301)
    await document.get()
    loads[1]?.fail(new Error('down'))
    await settled()
    pass(9)
    await document.get()
    expect(loads).toHaveLength(2)
    pass(2)
    await document.get()
    expect(loads).toHaveLength(3)
  })

  it('passes the etag on and counts the copy as new when it still stands', async () => {
    const { document, loads, pass } = await loadedDocument({}, { value: 'one', etag: '"1"' })
    for (let round = 1; round <= 20; round += 1) {
      pass(301)
      expect(await document.get()).toBe('one')
      expect(loads[round]?.etag).toBe('"1"')
      loads[round]?.succeed('not_modified')
      await settled()
    }
    expect(document.peek()).toBe('one')
  })

  it('refuses "not modified" where there is nothing to keep', async () => {
    const { document, loads } = keptDocument()
    const asked = document.get()
    loads[0]?.succeed('not_modified')
    await expect(asked).rejects.toThrow('not_modified')
  })

  it('looks again as early as the other side wishes, within reason, and never later than configured', async () => {
    const short = await loadedDocument({}, { value: 'one', maximumAgeSeconds: 60 })
    short.pass(61)
    short.document.current()
    expect(short.loads).toHaveLength(2)

    const never = await loadedDocument({ cooldownSeconds: 10 }, { value: 'one', maximumAgeSeconds: 0 })
    never.pass(9)
    never.document.current()
    expect(never.loads).toHaveLength(1)

    const year = await loadedDocument({}, { value: 'one', maximumAgeSeconds: 31_536_000 })
    year.pass(301)
    year.document.current()
    expect(year.loads).toHaveLength(2)
  })

  it('spreads its refreshes over a tenth of the time', async () => {
    const early = await loadedDocument({ random: () => 1 })
    early.pass(271)
    early.document.current()
    expect(early.loads).toHaveLength(2)
  })

  it('refreshes on demand at most once per cooldown, for all who ask together', async () => {
    const { document, loads, pass } = await loadedDocument()
    const asked = Array.from({ length: 100 }, () => document.refresh())
    expect(loads).toHaveLength(2)
    loads[1]?.succeed({ value: 'two' })
    expect(new Set(await Promise.all(asked))).toEqual(new Set(['two']))
    pass(9)
    expect(await document.refresh()).toBe('two')
    expect(loads).toHaveLength(2)
    pass(1)
    const later = document.refresh()
    loads[2]?.succeed({ value: 'three' })
    expect(await later).toBe('three')
  })

  it('keeps the old copy when a refresh fails', async () => {
    const { document, loads } = await loadedDocument()
    const asked = document.refresh()
    loads[1]?.fail(new Error('down'))
    expect(await asked).toBe('one')
    expect(await document.get()).toBe('one')
  })

  it('is not frozen by a clock that is set back an hour', async () => {
    const { document, loads, pass } = await loadedDocument()
    pass(-3_600)
    expect(await document.get()).toBe('one')
    expect(loads).toHaveLength(2)
    loads[1]?.fail(new Error('down'))
    await settled()
    pass(-3_600)
    await document.get()
    expect(loads).toHaveLength(3)
  })

  it('survives a loader that throws instead of returning a promise', async () => {
    const { document } = keptDocument({
      load: () => {
        throw new Error('at once')
      },
    })
    await expect(document.get()).rejects.toThrow('at once')
    await expect(document.get()).rejects.toThrow('at once')
  })
})
