/**
 * Runs a server until Ctrl-C or a supervisor ends it: the first signal lets it finish what is in flight, a second one
 * does not wait. A signal before all is ready ends it with 1.
 */
export async function serveUntilSignal(start: () => Promise<{ close(): Promise<void> }>): Promise<void> {
  // Whoever read the first lines of its output may leave without ending it.
  process.stdout.removeAllListeners('error')
  process.stdout.on('error', () => {})
  const { promise: told, resolve: tell } = Promise.withResolvers<void>()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => tell())
  const server = await Promise.race([start(), told])
  // What waits for others while it starts, as an agent does for its server, has nothing in flight to finish.
  if (server === undefined) process.exit(1)
  await told
  await server.close()
}
