import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { followTls, readTls } from './tls.ts'

let folder: string
let server: Server | undefined
let stop: (() => void) | undefined
const files = () => ({ certFile: join(folder, 'tls.crt'), keyFile: join(folder, 'tls.key') })

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-tls-'))
  for (const name of ['first', 'second']) makeCertificate(name)
})
afterEach(() => {
  stop?.()
  server?.close()
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

it('refuses a key that is not the certificate’s, and names both files', () => {
  use('first')
  copyFileSync(join(folder, 'second.key'), files().keyFile)
  expect(() => readTls(files())).toThrow(/tls\.key.*tls\.crt/)
})

it('gives new connections the new certificate, and keeps the old one while the new pair does not fit', async () => {
  use('first')
  server = createServer(readTls(files()), (_request, response) => response.end()).listen(0)
  const reloads: (Error | undefined)[] = []
  stop = follow(reloads)
  expect(await presentedName()).toBe('first')

  // Half of the new pair: as while it is being written.
  copyFileSync(join(folder, 'second.crt'), files().certFile)
  await until(() => reloads.length > 0)
  expect(reloads[0]).toBeInstanceOf(Error)
  expect(await presentedName()).toBe('first')

  use('second')
  await until(() => reloads.at(-1) === undefined && reloads.length > 1)
  expect(await presentedName()).toBe('second')
})

it('survives files that vanish for a while', async () => {
  use('first')
  server = createServer(readTls(files()), (_request, response) => response.end()).listen(0)
  const reloads: (Error | undefined)[] = []
  stop = follow(reloads)
  rmSync(files().keyFile)
  writeFileSync(files().certFile, 'not PEM')
  await until(() => reloads.length > 0)
  expect(await presentedName()).toBe('first')
})

/** Tells of each reload, and of each that failed. */
function follow(reloads: (Error | undefined)[]): () => void {
  const renew = (pair: { cert: string; key: string }) => {
    server!.setSecureContext(pair)
    reloads.push(undefined)
  }
  return followTls(files(), renew, (error) => void reloads.push(error), 50)
}

function use(name: string): void {
  copyFileSync(join(folder, `${name}.crt`), files().certFile)
  copyFileSync(join(folder, `${name}.key`), files().keyFile)
}

function makeCertificate(name: string): void {
  const out = ['-keyout', join(folder, `${name}.key`), '-out', join(folder, `${name}.crt`)]
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1']
  execFileSync('openssl', [...args, '-subj', `/CN=${name}`, ...out], { stdio: 'ignore' })
}

function presentedName(): Promise<string> {
  const { port } = server!.address() as AddressInfo
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN))
      socket.destroy()
    })
    socket.on('error', reject)
  })
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 50))
}
