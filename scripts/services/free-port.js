import { createServer } from 'node:net'

// The kernel gives out ports of 32768 and more: to connections, and to whoever listens on port 0. Below them nobody
// takes one by chance in the moment before the service listens that the port is for, or while it is restarted.
const first = 10_000
const perProcess = 100
const processes = 220

let given = 0

/** A TCP port that nobody listens on now, and that no other process of ours is given. */
export async function freePort() {
  for (let tried = 0; tried < perProcess; tried += 1) {
    const port = first + (process.pid % processes) * perProcess + (given++ % perProcess)
    if (await isFree(port)) return port
  }
  throw new Error('every port of this process is taken')
}

function isFree(port) {
  const probe = createServer()
  return new Promise((resolve) => {
    probe.once('error', () => resolve(false))
    probe.listen(port, () => probe.close(() => resolve(true)))
  })
}
