import { execFileSync } from 'node:child_process'
import { expect, it } from 'vitest'

it('comes before the code that it is to keep small', () => {
  const program = `
    const { createProgram } = await import('../program.ts')
    await createProgram(['agent'])
    console.log(process.moduleLoadList.join())`
  const loaded = execFileSync(process.execPath, ['--conditions=source', '--input-type=module', '--eval', program], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
  })
  // Tokens, TLS and everything above them stand on it.
  expect(loaded).not.toContain('NativeModule crypto')
  expect(loaded).not.toContain('NativeModule internal/crypto')
})
