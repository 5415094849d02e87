import { contentAlreadyRead, contentIncomplete, contentTooLarge } from './content-errors.ts'

/** The content of a Fetch request, which stays as unread as it was: whoever reads it next gets the same bytes. */
export async function readFetchContent(request: Request, maximumBytes: number): Promise<Uint8Array> {
  if (request.bodyUsed) throw contentAlreadyRead()
  const copy = request.clone().body
  const chunks: Uint8Array[] = []
  let size = 0
  if (copy === null) return new Uint8Array()
  const reader = copy.getReader()
  for (;;) {
    const { done, value } = await reader.read().catch((cause: unknown) => {
      throw contentIncomplete(cause)
    })
    if (done) return Buffer.concat(chunks)
    size += value.length
    if (size > maximumBytes) {
      reader.cancel().catch(() => {})
      throw contentTooLarge(maximumBytes)
    }
    chunks.push(value)
  }
}
