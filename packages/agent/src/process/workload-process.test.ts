import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { expect, it, onTestFinished } from 'vitest'
import { pinProcess } from './workload-process.ts'

it('says that a process has ended, also while nobody has taken note of its end', async () => {
  // sleep never asks how its children ended
  const parent = spawn('/bin/sh', ['-c', '(read line) <&3 & echo $!; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
  })
  onTestFinished(() => void parent.kill('SIGKILL'))
  const pid = Number(await new Promise((resolve) => parent.stdout?.once('data', resolve)))
  const process_ = pinProcess({ pid, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 })
  process_.check()
  ;(parent.stdio[3] as NodeJS.WritableStream).write('\n')
  await expect.poll(() => readFileSync(`/proc/${pid}/stat`, 'utf8')).toMatch(/\) Z /)

  expect(process_.isAlive()).toBe(false)
  expect(() => process_.check()).toThrow(expect.objectContaining({ code: 'ended_process' }))
  expect(() => process_.check()).toThrow(`process ${pid} has ended`)
})
