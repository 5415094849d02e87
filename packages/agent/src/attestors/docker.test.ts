import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createDockerAttestor } from './docker.ts'
import { processIn } from './proc.fixture.ts'

const id = '09bc3d7ade839efec32b6bec4ec79d099027a668ddba043083ec21d3c3b8f1e6'
const inspected = {
  Id: id,
  Image: 'sha256:5ef3',
  State: { Running: true },
  Config: {
    Image: 'registry.example.com/shop:1.2',
    Labels: { 'com.example/team': 'shop' },
    Env: ['PATH=/bin', 'A=b=c'],
  },
}

describe('the docker attestor', () => {
  let engine: Server
  let socket: string
  let asked: string[]
  let answer: (response: ServerResponse) => void
  beforeEach(async () => {
    socket = join(mkdtempSync(join(tmpdir(), 'docker-')), 'docker.sock')
    asked = []
    answer = (response) => response.end(JSON.stringify(inspected))
    engine = createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`)
      answer(response)
    })
    await new Promise<void>((resolve) => engine.listen(socket, resolve))
  })
  afterEach(async () => {
    engine.closeAllConnections()
    await new Promise((resolve) => engine.close(resolve))
    rmSync(join(socket, '..'), { recursive: true, force: true })
  })

  const attest = async (controlGroups = `0::/system.slice/docker-${id}.scope\n`, timeoutMilliseconds = 5000) => {
    const selectors = await createDockerAttestor({ socket, timeoutMilliseconds }).attest(
      processIn(controlGroups),
      () => {},
    )
    return selectors.map(({ type, value }) => `${type}:${value}`)
  }

  it('names labels, environment and image of the container', async () => {
    expect(await attest()).toEqual([
      'docker:label:com.example/team:shop',
      'docker:env:PATH=/bin',
      'docker:env:A=b=c',
      'docker:image_id:registry.example.com/shop:1.2',
      'docker:image_config_digest:sha256:5ef3',
    ])
    expect(asked).toEqual([`GET /containers/${id}/json`])
  })

  it('does not ask the engine about a process of no container', async () => {
    expect(await attest('0::/system.slice/ssh.service\n')).toEqual([])
    expect(asked).toEqual([])
  })

  it('tells the operator of a container where the engine is not said to make any, and of nothing else', async () => {
    const notes: string[] = []
    const attestor = createDockerAttestor({ socket })
    for (const path of [`/shops/${id}`, '/user.slice/app', `/kubepods/burstable/podx/${id}`]) {
      expect(await attestor.attest(processIn(`0::${path}\n`), (problem) => notes.push(problem))).toEqual([])
    }
    expect(notes).toEqual([`/shops/${id} is not directly below one of control_group_parents`])
    expect(asked).toEqual([])
  })

  it('has nothing to say where labels, environment and image are not set', async () => {
    answer = (response) =>
      response.end(JSON.stringify({ ...inspected, Image: '', Config: { Labels: null, Env: null } }))
    expect(await attest()).toEqual([])
  })

  it.each<[string, (response: ServerResponse) => void, RegExp]>([
    ['404', (response) => response.writeHead(404).end('{}'), /docker\.sock cannot be asked: it answered 404/],
    ['what is not JSON', (response) => response.end('<html>'), /cannot be asked/],
    ['null', (response) => response.end('null'), /another container/],
    [
      'another container',
      (response) => response.end(JSON.stringify({ ...inspected, Id: 'f'.repeat(64) })),
      /another container/,
    ],
    [
      'a container that stopped',
      (response) => response.end(JSON.stringify({ ...inspected, State: {} })),
      /does not run/,
    ],
    ['what never ends', (response) => void pour(response), /larger than/],
    ['a connection that breaks', (response) => response.socket?.destroy(), /cannot be asked/],
    [
      'half an answer',
      (response) => void response.write('{"Id":', () => response.socket?.destroy()),
      /cannot be asked/,
    ],
  ])('gives no selectors when the engine answers %s', async (_, how, message) => {
    answer = how
    await expect(attest()).rejects.toThrow(message)
  })

  it('does not wait for ever', async () => {
    answer = () => {}
    await expect(attest(undefined, 50)).rejects.toThrow(/no answer in 50 ms/)
    answer = (response) => void response.write('{')
    await expect(attest(undefined, 50)).rejects.toThrow(/no answer in 50 ms/)
  })

  it('says so when there is no engine', async () => {
    const attestor = createDockerAttestor({ socket: `${socket}.none` })
    expect(attestor.lacks?.()).toMatch(/^there is no engine at .*\.none; start it/)
    expect(createDockerAttestor({ socket }).lacks?.()).toBeUndefined()
    await expect(attestor.attest(processIn(`0::/docker/${id}\n`), () => {})).rejects.toThrow(
      /none cannot be asked: .*ENOENT/,
    )
  })
})

function pour(response: ServerResponse): void {
  const more = () => {
    while (!response.destroyed && response.write(Buffer.alloc(2 ** 16, ' '))) {}
    if (!response.destroyed) response.once('drain', more)
  }
  more()
}
