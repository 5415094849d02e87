export interface Figure {
  name: string
  /** What was measured, as told to a person: "8,214/s" */
  measured: string
  /** What the design wants, as told to a person */
  budget: string
  met: boolean
}

export function printFigures(figures: readonly Figure[]): void {
  const width = Math.max(...figures.map(({ name }) => name.length))
  const measuredWidth = Math.max(...figures.map(({ measured }) => measured.length))
  for (const { name, measured, budget, met } of figures) {
    console.log(`${met ? '✓' : '✗'} ${name.padEnd(width)}  ${measured.padEnd(measuredWidth)}  budget ${budget}`)
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
