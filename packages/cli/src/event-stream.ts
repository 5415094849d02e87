export interface StreamedEvent {
  id?: string
  event: string
  data: string
}

const longestEvent = 1024 * 1024

/** Server-sent events as they arrive (HTML standard, section 9.2.6); comments and unknown fields are skipped. */
export async function* readEventStream(body: AsyncIterable<Uint8Array>): AsyncGenerator<StreamedEvent> {
  const decoder = new TextDecoder()
  let rest = ''
  let event: { id?: string; event: string; data: string[] } = { event: 'message', data: [] }
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true })
    const lines = rest.split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop() ?? ''
    if (rest.length > longestEvent) throw new Error('the stream sent a line of more than a megabyte')
    for (const line of lines) {
      if (line === '') {
        if (event.data.length > 0) yield { ...event, data: event.data.join('\n') }
        event = { event: 'message', data: [] }
      } else {
        take(line, event)
      }
    }
  }
}

function take(line: string, event: { id?: string; event: string; data: string[] }): void {
  const colon = line.indexOf(':')
  const field = colon === -1 ? line : line.slice(0, colon)
  const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '')
  if (field === 'data') event.data.push(value)
  else if (field === 'event') event.event = value
  else if (field === 'id') event.id = value
}
