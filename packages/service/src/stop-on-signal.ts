const signals = ['SIGTERM', 'SIGINT'] as const

/** The services of this process that run, by how they are stopped. */
const running = new Set<() => Promise<void>>()
let isStopping = false

/**
 * From now on SIGTERM and SIGINT stop the service in order. Once all services of the process have stopped it exits with
 * 0, unless the program listens to the signal itself and so decides; a second signal ends it at once.
 * @returns what undoes it
 */
export function stopOnSignal(stop: () => Promise<void>): () => void {
  if (running.size === 0) for (const signal of signals) process.on(signal, onSignal)
  running.add(stop)
  return () => {
    running.delete(stop)
    if (running.size === 0 && !isStopping) unlisten()
  }
}

async function onSignal(signal: NodeJS.Signals): Promise<void> {
  if (isStopping) process.exit(1)
  isStopping = true
  const decides = process.listenerCount(signal) === 1
  await Promise.allSettled([...running].map((stop) => stop()))
  isStopping = false
  unlisten()
  if (decides) process.exit(0)
}

function unlisten(): void {
  for (const signal of signals) process.off(signal, onSignal)
}
