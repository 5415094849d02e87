/** One reading after another: a call that comes while one is under way waits for one that begins after it. */
export function inTurn(read: () => Promise<void>): () => Promise<void> {
  let latest: Promise<void> | undefined
  return () => {
    const previous = latest
    latest = (async () => {
      await previous?.catch(() => {})
      await read()
    })()
    return latest
  }
}
