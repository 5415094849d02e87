// Run by a test: an agent that is not root. Attests the first caller of ./user-agent.sock as user 12345 and prints what it found.
import { chmodSync } from 'node:fs'
import { createServer } from 'node:net'
import { peerOf } from '../peer/peer-of.ts'
import { createUnixAttestor } from './unix.ts'
import { attestWorkload } from './workload-attestor.ts'

const server = createServer(async (socket) => {
  try {
    process.stdout.write(JSON.stringify(await attestWorkload([createUnixAttestor()], peerOf(socket))))
  } catch (error) {
    process.stdout.write(JSON.stringify(String(error)))
  }
  socket.destroy()
  server.close()
})
server.listen('user-agent.sock', () => {
  chmodSync('user-agent.sock', 0o777)
  process.setgroups?.([])
  process.setgid?.(12_345)
  process.setuid?.(12_345)
  process.stdout.write('ready\n')
})
