import type { Data } from './own-data.ts'

/** One evaluation: what `this` stands for, and how much may still be made. */
export interface Run {
  readonly root: object
  /** Called before something of that many characters or items is made. Throws OperandFault when it gets too much. */
  spend(size: number): void
}

/** Works out a value. */
export type Evaluate = (run: Run) => Data

/** Thrown by what does not know where in the expression it stands; who called it does. */
export class OperandFault extends Error {}

/** In characters and items, over one evaluation */
export const largestResult = 4_194_304

export function startRun(root: object): Run {
  let left = largestResult
  return {
    root,
    spend(size) {
      left -= size
      if (left < 0) throw new OperandFault(`an expression makes at most ${largestResult} characters and items`)
    },
  }
}
