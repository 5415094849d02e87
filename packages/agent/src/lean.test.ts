import { execFileSync } from 'node:child_process'
import { expect, it } from 'vitest'

it('loads nothing that an idle agent has no use for', () => {
  const program = `await import('@countersign/agent'); console.log(process.moduleLoadList.join())`
  const loaded = execFileSync(process.execPath, ['--conditions=source', '--input-type=module', '--eval', program], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
  })
  expect(loaded).toContain('NativeModule http2')
  expect(loaded).not.toContain('undici')
  expect(loaded).not.toContain('NativeModule sqlite')
})
