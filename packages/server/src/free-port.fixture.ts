const module = new URL('../../../scripts/services/free-port.js', import.meta.url).href

/** A TCP port that nobody listens on now, and that no other test, nor a database of one, is given. */
export async function freePort(): Promise<number> {
  const { freePort } = await import(module)
  return freePort()
}
