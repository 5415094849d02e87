import { chmodSync, lstatSync, mkdirSync, realpathSync, type Stats, statSync, unlinkSync } from 'node:fs'
import { connect, type Server } from 'node:net'
import { dirname, isAbsolute } from 'node:path'
import { AgentError } from '../agent-error.ts'

/** Another agent listens there and lives. */
export class SocketInUse extends AgentError {
  constructor(path: string) {
    super('invalid_configuration', `another agent serves ${path}; stop it or choose another path`)
  }
}

const longestPath = 107 // sockaddr_un holds 108 bytes with the closing zero

/**
 * Makes `server` listen at `path`, which nobody else can replace: its folder is ours (or root's) and closed to others, a
 * socket that an ended agent left is removed, anything else there is left alone and refused.
 * @param options.mode of the socket: 0o777 for workloads, 0o600 for the operator
 * @param options.anyWay leaves the folders above its own unlooked at
 * @returns a function that closes the server and removes the socket
 * @throws AgentError `invalid_configuration`
 */
export async function listenOnSocketFile(
  server: Server,
  path: string,
  options: { mode: number; anyWay?: boolean | undefined },
): Promise<() => Promise<void>> {
  checkPath(path)
  prepareFolder(dirname(path))
  if (!options.anyWay) checkWays(dirname(path))
  await removeStaleSocket(path)
  const listening = new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.once('listening', () => {
      server.off('error', reject)
      resolve()
    })
  })
  // bind(2) happens inside listen(); nobody may connect before the mode is what it should be.
  const umask = process.umask(0o177)
  try {
    server.listen(path)
  } finally {
    process.umask(umask)
  }
  await listening.catch(({ code }: NodeJS.ErrnoException) => {
    throw unsafe(`the socket ${path} cannot be made (${code}); choose a folder in which the agent's user may write`)
  })
  chmodSync(path, options.mode)
  return () => new Promise((resolve) => server.close(() => resolve())) // which also unlinks the path
}

function checkPath(path: string): void {
  if (!isAbsolute(path))
    throw unsafe(`the socket path ${path} is not absolute; write it from the root, like /run/countersign/agent.sock`)
  if (Buffer.byteLength(path) > longestPath)
    throw unsafe(
      `the socket path ${path} is longer than the ${longestPath} bytes that the system allows; choose a shorter one`,
    )
}

function prepareFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o755 })
  } catch (error) {
    throw unsafe(
      `the folder ${folder} of the socket cannot be made (${(error as NodeJS.ErrnoException).code}); make it, owned by the agent's user`,
    )
  }
  const link = lstatSync(folder)
  if (link.isSymbolicLink() && !isOurs(link))
    throw unsafe(
      `${folder} is a symbolic link of user ${link.uid}, who could lead it elsewhere; give the path that it leads to`,
    )
  const found = statSync(folder)
  if (!found.isDirectory()) throw unsafe(`${folder} is no folder; the socket needs one`)
  if (!isOurs(found))
    throw unsafe(
      `the folder ${folder} belongs to user ${found.uid}, who could replace the socket; give it to the agent's user: chown ${process.getuid?.()} ${folder}`,
    )
  if ((found.mode & sticky) !== 0 && (found.mode & 0o022) !== 0)
    throw unsafe(`everybody may write in ${folder}, and is to; put the socket into a folder of its own there`)
  if ((found.mode & 0o022) !== 0)
    throw unsafe(`others may write in ${folder} and could replace the socket; close it to them: chmod go-w ${folder}`)
}

function checkWays(folder: string): void {
  for (const way of new Set([folder, realpathSync(folder)])) checkWay(dirname(way))
}

/** Whoever may rename a folder on the way puts another one in its place; in a sticky one nobody renames what is ours. */
function checkWay(folder: string): void {
  const link = lstatSync(folder)
  const found = statSync(folder)
  const isOpen = (found.mode & 0o022) !== 0 && (found.mode & sticky) === 0
  if (!isOurs(link) || !isOurs(found) || isOpen)
    throw unsafe(
      `others may write in ${folder}, on the way to the socket, and could put another folder there; choose a path of which every folder is root's or the agent's own`,
    )
  if (folder !== dirname(folder)) checkWay(dirname(folder))
}

const sticky = 0o1000

async function removeStaleSocket(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) return
  if (found.isSymbolicLink()) throw unsafe(`${path} is a symbolic link; remove it, or give the path that it leads to`)
  if (!found.isSocket()) throw unsafe(`${path} exists and is no socket; remove it or choose another path`)
  if (found.uid !== process.getuid?.())
    throw unsafe(`the socket ${path} belongs to user ${found.uid}; remove it or choose another path`)
  if (await someoneAnswers(path)) throw new SocketInUse(path)
  unlinkSync(path)
}

function isOurs(found: Stats): boolean {
  return found.uid === process.getuid?.() || found.uid === 0
}

function someoneAnswers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    )
  })
}

function unsafe(message: string): AgentError {
  return new AgentError('invalid_configuration', message)
}
