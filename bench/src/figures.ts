export interface Figure {
  name: string
  /** What was measured, as told to a person: "8,214/s" */
  measured: string
  /** What the design wants, as told to a person, where it wants anything */
  budget?: string
  met?: boolean
  /** What to compare it with, where there is no budget */
  note?: string
}

export function printFigures(figures: readonly Figure[]): void {
  const width = Math.max(...figures.map(({ name }) => name.length))
  const measuredWidth = Math.max(...figures.map(({ measured }) => measured.length))
  for (const { name, measured, budget, met, note = '' } of figures) {
    const mark = budget === undefined ? '·' : met ? '✓' : '✗'
    const beside = budget === undefined ? note : `budget ${budget}`
    console.log(`${mark} ${name.padEnd(width)}  ${measured.padEnd(measuredWidth)}  ${beside}`)
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

export function perSecond(rate: number): string {
  return `${Math.round(rate).toLocaleString('en')}/s`
}

export function percent(ratio: number): string {
  return `${Math.round(ratio * 100)} %`
}
