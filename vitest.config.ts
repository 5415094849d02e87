import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'] } },
  test: {
    include: [
      'packages/*/src/**/*.test.ts',
      'conformance/**/*.test.ts',
      'examples/**/*.test.ts',
      'bench/**/*.test.ts',
      'scripts/**/*.test.ts',
    ],
    // Many files wait for a database, a process or a clock, so one more than there are processors is no crowd.
    maxWorkers: availableParallelism() + 1,
    // Far above what any test needs, so that a busy machine fails none.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // What is waited for comes soon; on a busy machine not always within the one second of the default.
    expect: { poll: { timeout: 20_000 } },
    slowTestThreshold: 5_000,
    execArgv: ['--conditions=source', '--disable-warning=ExperimentalWarning'],
  },
})
