import { note, type OutputOptions, printJson } from './output.ts'

/** What a command says when something is gone: a sentence for people, for programs what it was. */
export function deleted(what: string, names: Record<string, string>, options: OutputOptions, verb = 'deleted'): void {
  if (options.json) printJson({ ...names, [verb]: true })
  else note(`${what} is ${verb}.`)
}
