import { Command, type ParseOptionsResult } from 'commander'

/** The base64url of a SHA-256, which names a key (RFC 7638): one in 64 begins with a dash. */
const dashedThumbprint = /^-[A-Za-z0-9_-]{42}$/

/**
 * A command that takes a key's thumbprint for an operand, its last, also where it looks like options; and that tells of a
 * misspelt option before it misses the one that was meant.
 */
export class OperandCommand extends Command {
  override createCommand(name?: string): Command {
    return new OperandCommand(name)
  }

  override parseOptions(args: string[]): ParseOptionsResult {
    // Groups pass on what they do not know; the command itself decides.
    if (this.commands.length > 0) return super.parseOptions(args)
    const isOperand = (arg: string, at: number) => dashedThumbprint.test(arg) && !this.#takesValue(args[at - 1])
    const { operands, unknown } = super.parseOptions(args.filter((arg, at) => !isOperand(arg, at)))
    const misspelt = unknown.find((word) => word.startsWith('-'))
    // commander's own sentence, which it does not declare.
    if (misspelt !== undefined && !unknown.some((word) => word === '-h' || word === '--help'))
      (this as unknown as { unknownOption(flag: string): void }).unknownOption(misspelt)
    return { operands: [...operands, ...args.filter(isOperand)], unknown }
  }

  #takesValue(word: string | undefined): boolean {
    return this.options.some(
      ({ required, long, short }) => required && word !== undefined && [long, short].includes(word),
    )
  }
}
