import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createWorld, type World } from './world.fixture.ts'

const open = { loginRequired: false, M2MAllowed: false }
const api = (name: string, authOptions: object) => ({ businessApis: [{ name, authOptions }] })

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

describe('a service that stops', () => {
  it('lets calls in flight come to their end, and takes no new ones', async () => {
    const entered = Promise.withResolvers<void>()
    const leave = Promise.withResolvers<void>()
    const handlers = {
      slow: async () => {
        entered.resolve()
        await leave.promise
        return { done: true }
      },
    }
    const service = await world.start('slow', api('slow', open), { handlers })
    const { hostname, port, host } = new URL(service.url)
    const kept = connect(Number(port), hostname).on('error', () => {})
    let keptGot = ''
    kept.on('data', (chunk) => (keptGot += chunk))
    kept.write(`GET /healthz HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    await expect.poll(() => keptGot).toContain('200 OK')

    const inFlight = fetch(`${service.url}/slow`, { method: 'POST' })
    await entered.promise
    kept.write(`POST /slow HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 10\r\n\r\n`)
    const stopped = service.stop()
    let isStopped = false
    void stopped.then(() => {
      isStopped = true
    })
    await expect(fetch(`${service.url}/healthz`)).rejects.toThrow()
    expect(isStopped).toBe(false)
    leave.resolve()
    const answer = await inFlight
    expect({ status: answer.status, body: await answer.json() }).toEqual({ status: 200, body: { done: true } })
    kept.destroy()
    await stopped
    expect(service.stop(), 'to stop twice is to stop once').toBe(stopped)
    await expect(service.start()).rejects.toThrow('the service was stopped; make a new one')
  })

  it('tells whoever comes on a connection that is kept alive', async () => {
    const hold = Promise.withResolvers<void>()
    const entered = Promise.withResolvers<void>()
    const handlers = {
      wait: () => {
        entered.resolve()
        return hold.promise
      },
    }
    const service = await world.start('kept', api('wait', open), { handlers })
    const { hostname, port, host } = new URL(service.url)
    const kept = connect(Number(port), hostname).on('error', () => {})
    let got = ''
    kept.on('data', (chunk) => (got += chunk))
    const pending = fetch(`${service.url}/wait`, { method: 'POST' })
    // Half a request: this connection is not idle, and so it is not closed.
    await new Promise((written) => kept.write(`GET /readyz HTTP/1.1\r\nHost: ${host}\r\n`, written))
    await entered.promise
    // Who is answered on another connection shows that what came before on this one was read.
    await (await fetch(`${service.url}/healthz`)).text()
    const stopped = service.stop()
    kept.write('\r\n')
    await expect.poll(() => got).toContain('503 Service Unavailable')
    expect(got.toLowerCase()).toContain('connection: close')
    expect(got).toContain('"code":"stopping"')
    hold.resolve()
    await pending
    await stopped
  })

  it('waits no longer than STOP_TIMEOUT', async () => {
    const entered = Promise.withResolvers<void>()
    const handlers = {
      never: () => {
        entered.resolve()
        return new Promise(() => {})
      },
    }
    const service = await world.start('never', api('never', open), { handlers, environment: { STOP_TIMEOUT: '1' } })
    const pending = fetch(`${service.url}/never`, { method: 'POST' }).catch((error) => error)
    await entered.promise
    await service.stop()
    expect(await pending).toBeInstanceOf(Error)
  })

  it('may stop before it has started', async () => {
    const service = await world.create('early', api('any', open), { handlers: { any: () => 1 } })
    await service.stop()
  })
})
