import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { createInterface } from 'node:readline'

/** A line of a program's log, read from its JSON. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly program: string; readonly msg?: string }

/** A program of its own, as it would run in production; what it logs can be waited for. */
export class Program {
  readonly name: string
  readonly lines: LogLine[] = []
  readonly #child: ChildProcess
  readonly #said = new EventEmitter()

  /** `node` runs it: by default this process's own. */
  constructor(
    name: string,
    file: string,
    words: readonly string[],
    environment: Record<string, string>,
    node = process.execPath,
  ) {
    this.name = name
    const { PATH = '', HOME = '' } = process.env
    this.#child = spawn(node, [...process.execArgv, file, ...words], {
      env: { PATH, HOME, ...environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    createInterface({ input: this.#child.stdout! }).on('line', (text) => this.#read(text))
    this.#child.on('close', () => this.#said.emit('news'))
    process.on('exit', () => this.#child.kill())
  }

  /** The first line from `start` on that fits. Rejects when the program ends without it, or after 30 seconds. */
  async line(fits: (line: LogLine) => boolean, start = 0): Promise<LogLine> {
    const { promise, resolve, reject } = Promise.withResolvers<LogLine>()
    const look = () => {
      const found = this.lines.slice(start).find(fits)
      if (found !== undefined) resolve(found)
      else if (this.#child.exitCode !== null) reject(this.#unfinished(`ended with ${this.#child.exitCode}`))
    }
    const timer = setTimeout(() => reject(this.#unfinished('did not say in 30 seconds what was waited for')), 30_000)
    this.#said.on('news', look)
    look()
    return promise.finally(() => {
      clearTimeout(timer)
      this.#said.off('news', look)
    })
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }

  async stop(name: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.hasEnded) return
    this.signal(name)
    await once(this.#child, 'exit')
  }

  #unfinished(what: string): Error {
    const last = this.lines.slice(-3).map((line) => JSON.stringify(line))
    return new Error([`${this.name} ${what}; its last lines:`, ...last].join('\n  '))
  }

  #read(text: string): void {
    if (!text.startsWith('{')) return
    this.lines.push({ ...JSON.parse(text), program: this.name })
    this.#said.emit('news')
  }
}
