// A Redis (or Valkey) of one's own: a fresh folder, a free port, nothing kept.
import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { freePort } from './free-port.js'
import { serviceFolder } from './services-folder.js'
import { exists, installSystemPackages } from './system-packages.js'

/** @returns the program's name, or undefined when it cannot be had */
export function redisProgram(say) {
  const found = ['redis-server', 'valkey-server'].find(exists)
  if (found) return found
  return installSystemPackages(['redis-server'], say) && exists('redis-server') ? 'redis-server' : undefined
}

/** @returns {Promise<{ url: string, start(): Promise<void>, crash(): void, stop(): void }>} */
export async function startRedis({ program }) {
  const folder = serviceFolder('redis')
  const port = await freePort()
  let child
  const server = {
    url: `redis://127.0.0.1:${port}`,
    async start() {
      const words = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder]
      words.push('--pidfile', join(folder, 'redis.pid'))
      // A group of its own: Ctrl-C at the terminal is for the tests, which still need it while they end.
      child = spawn(program, words, { stdio: 'ignore', detached: true })
      child.unref()
      await answers(port, child)
    },
    crash() {
      if (child?.exitCode === null && child.signalCode === null) process.kill(child.pid, 'SIGKILL')
      child = undefined
    },
    stop() {
      server.crash()
      rmSync(folder, { recursive: true, force: true })
    },
  }
  await server.start()
  return server
}

async function answers(port, child) {
  for (const deadline = Date.now() + 10_000; ; ) {
    if (await connects(port)) return
    if (child.exitCode !== null) throw new Error(`Redis ended at once with ${child.exitCode}`)
    if (Date.now() > deadline) throw new Error(`Redis does not listen on port ${port} after 10 s`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function connects(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => socket.end(() => resolve(true)))
    socket.on('error', () => resolve(false))
  })
}
