import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readEvents, type StreamEvent } from './event-stream.ts'

async function read(...chunks: Uint8Array[]): Promise<StreamEvent[]> {
  async function* source() {
    yield* chunks
  }
  const events: StreamEvent[] = []
  for await (const event of readEvents(source())) events.push(event)
  return events
}

const text =
  'event: revocation\r\nid: 7\r\ndata: {"jti":"ü"}\r\n\r\n: heartbeat\n\ndata:a\ndata: b\n\nid\rdata: c\r\r\ndata: cut'
const events = [
  { event: 'revocation', id: '7', data: '{"jti":"ü"}' },
  { event: 'message', id: '7', data: 'a\nb' },
  { event: 'message', id: '', data: 'c' },
]

describe('an event stream', () => {
  it('is read by the rules of the standard, an unfinished event left out', async () => {
    expect(await read(Buffer.from(text))).toEqual(events)
  })

  it('reads the same however the network cuts it', async () => {
    const bytes = Buffer.from(text)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 10 }), async (places) => {
        const cuts = [0, ...places.sort((a, b) => a - b), bytes.length]
        const chunks = cuts.slice(1).map((end, index) => bytes.subarray(cuts[index], end))
        expect(await read(...chunks)).toEqual(events)
      }),
    )
  })

  it('holds no more than one bounded event', async () => {
    await expect(read(Buffer.alloc(70_000, 'x'))).rejects.toThrow(/never ends/)
    await expect(
      read(...Array.from({ length: 20 }, () => Buffer.from(`data: ${'x'.repeat(5_000)}\n`))),
    ).rejects.toThrow(/too large/)
  })
})
