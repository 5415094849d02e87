import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, it } from 'vitest'

const document = '{"businessApis":[{"name":"wait","authOptions":{"loginRequired":false,"M2MAllowed":false}}]}'

/** A program with a service whose one API answers after half a second, and a timer that nobody clears. */
async function program(more = '') {
  const code = `
    import { createService } from '@countersign/service'
    const pause = () => {
      console.log('WAITING')
      return new Promise((resolve) => setTimeout(resolve, 500, { waited: true }))
    }
    const service = await createService(${JSON.stringify(document)}, { handlers: { wait: pause } })
    await service.start()
    setInterval(() => {}, 60_000)
    ${more}
    console.log('READY ' + service.url)`
  const flags = ['--conditions=source', '--disable-warning=ExperimentalWarning', '--input-type=module-typescript']
  const child = spawn(process.execPath, [...flags, '--eval', code], {
    cwd: new URL('..', import.meta.url).pathname,
    env: { ...process.env, SERVICE_SHORT_NAME: 'waiting', HTTP_PORT: '0', HTTP_HOST: '127.0.0.1' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (text) => (output += text))
  await expect.poll(() => output, { timeout: 30_000 }).toContain('READY ')
  const isWaiting = () => expect.poll(() => output).toContain('WAITING')
  return { child, url: /READY (\S+)/.exec(output)![1]!, isWaiting, ended: once(child, 'exit') }
}

it.each(['SIGTERM', 'SIGINT'] as const)('%s lets the call in flight end, then ends the program', async (signal) => {
  const { child, url, isWaiting, ended } = await program()
  const answer = fetch(`${url}/wait`, { method: 'POST' })
  await isWaiting()
  child.kill(signal)
  expect(await (await answer).json()).toEqual({ waited: true })
  expect(await ended).toEqual([0, null])
})

it('leaves the end to a program that listens to the signal itself', async () => {
  const { child, ended } = await program("process.on('SIGTERM', () => setTimeout(() => process.exit(7), 300))")
  child.kill('SIGTERM')
  expect(await ended).toEqual([7, null])
})
