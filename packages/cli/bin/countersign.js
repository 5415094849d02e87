#!/usr/bin/env node
// Starts the program on a Node that can run it. Plain JavaScript, because an older Node may be reading this.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const oldestMajor = 24
const sourceFlags = ['--conditions=source', '--disable-warning=ExperimentalWarning']
const home = dirname(dirname(fileURLToPath(import.meta.url)))
const source = join(home, 'src', 'main.ts')
const built = join(home, 'dist', 'main.js')
// Node strips no types below node_modules, so an installed package runs what was built, even if it carries its source.
const fromSource = existsSync(source) && !home.split(sep).includes('node_modules')

const node = findNode()
if (node === process.execPath && !fromSource) {
  await import(pathToFileURL(built).href)
} else {
  const program = fromSource ? [...sourceFlags, source] : [built]
  become(node, [...process.execArgv, ...program, ...process.argv.slice(2)])
}

function findNode() {
  if (Number(process.versions.node.split('.')[0]) >= oldestMajor) return process.execPath
  for (let folder = home; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', `node-linux-${process.arch}`, 'bin', 'node')
    if (existsSync(candidate)) return candidate
    if (folder === dirname(folder)) break
  }
  console.error(
    `error: countersign needs Node ${oldestMajor} or newer, and this is ${process.version}; install it from https://nodejs.org and try again`,
  )
  process.exit(1)
}

/** Stripping the types of a checkout's source anew takes half of the time of a short command. */
function environment() {
  return fromSource
    ? { NODE_COMPILE_CACHE: join(home, 'node_modules', '.cache', 'compiled'), ...process.env }
    : process.env
}

/** Replaces this process where Node can; where it cannot, waits for a child and ends as the child ends. */
function become(file, args) {
  if (typeof process.execve === 'function') {
    process.execve(file, [file, ...args], environment())
  }
  const child = spawn(file, args, { stdio: 'inherit', env: environment() })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2', 'SIGWINCH']) {
    process.on(signal, () => {
      // Ctrl-C on a terminal reaches the whole group: passing it on would make it two.
      if (signal === 'SIGINT' && process.stdin.isTTY) return
      child.kill(signal)
    })
  }
  child.on('error', (error) => {
    console.error(`error: ${file} cannot be started (${error.code}); reinstall the dependencies with: npm install`)
    process.exit(1)
  })
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
    // A signal that does not end us still has to be told.
    setTimeout(() => process.exit(128 + (constants.signals[signal] ?? 0)), 100)
  })
}
