export interface StreamEvent {
  readonly event: string
  readonly data: string
  readonly id: string
}

/** Enough for any entry of the feed; more is not held in memory. */
const longestEvent = 65_536

/**
 * Server-sent events from the bytes of a `text/event-stream` (WHATWG HTML section 9.2.6). Throws when one event grows
 * past 64 KiB. `id` is the last one that the stream gave, as the standard has it.
 */
export async function* readEvents(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<StreamEvent> {
  const decoder = new TextDecoder()
  let pending = ''
  let size = 0
  let id = ''
  let event = ''
  let data: string[] = []
  for await (const chunk of chunks) {
    pending += decoder.decode(chunk, { stream: true })
    // A lone CR at the very end may be the first half of CRLF.
    const whole = pending.endsWith('\r') ? pending.length - 1 : pending.length
    const lines = pending.slice(0, whole).split(/\r\n|\n|\r/)
    pending = (lines.pop() ?? '') + pending.slice(whole)
    if (pending.length > longestEvent) throw new Error('the feed sent a line that never ends')
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) yield { event: event || 'message', data: data.join('\n'), id }
        event = ''
        data = []
        size = 0
        continue
      }
      size += line.length
      if (size > longestEvent) throw new Error('the feed sent an event that is too large')
      const [name, value] = readField(line)
      if (name === 'data') data.push(value)
      else if (name === 'event') event = value
      else if (name === 'id' && !value.includes('\0')) id = value
    }
  }
}

/** `name: value`; a comment has an empty name. */
function readField(line: string): [name: string, value: string] {
  const colon = line.indexOf(':')
  if (colon === -1) return [line, '']
  const value = line.slice(colon + 1)
  return [line.slice(0, colon), value.startsWith(' ') ? value.slice(1) : value]
}
