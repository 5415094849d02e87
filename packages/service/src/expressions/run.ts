import type { Data } from './own-data.ts'

/** One evaluation: what `this` stands for, and how much may still be made. */
export interface Run {
  readonly root: object
  /** Called before a text or a list of values is made. Throws OperandFault when it gets too much. */
  spend(made: { characters?: number; values?: number }): void
}

/** Works out a value. */
export type Evaluate = (run: Run) => Data

/** Thrown by what does not know where in the expression it stands; who called it does. */
export class OperandFault extends Error {}

/** In characters, over one evaluation */
const largestResult = 4_194_304
/** What a value counts for, in characters */
const valueSize = 8

export function startRun(root: object): Run {
  let left = largestResult
  return {
    root,
    spend({ characters = 0, values = 0 }) {
      left -= characters + values * valueSize
      if (left >= 0) return
      throw new OperandFault(
        `an expression makes at most ${largestResult} characters, each value counting ${valueSize}`,
      )
    },
  }
}
