/** All bytes of a body. Of one that has more than `maximumBytes` no more are read; then it rejects with `tooLarge()`. */
export async function boundedBody(
  body: AsyncIterable<Uint8Array> | null,
  maximumBytes: number,
  tooLarge: () => Error,
): Promise<Buffer<ArrayBuffer>> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body ?? []) {
    size += chunk.length
    if (size > maximumBytes) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
