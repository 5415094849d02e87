import { status } from '@grpc/grpc-js'
import { describe, expect, it, onTestFinished } from 'vitest'
import { testAgent, testServer } from '../agent.fixture.ts'
import type { Selector, WorkloadAttestor } from '../attestors/workload-attestor.ts'
import { fakeEntry } from '../spire-server.fixture.ts'
import { header, Messages, openWorkloadClient } from '../workload-client.fixture.ts'

const label: Selector = { type: 'k8s', value: 'pod-label:app:web' }

/** An attestor that says what the test lets it say. */
function changingAttestor() {
  const said = { selectors: [label] as Selector[], problem: undefined as string | undefined }
  const attestor: WorkloadAttestor = {
    name: 'k8s',
    attest: async (_process, note) => {
      if (said.problem === undefined) return said.selectors
      note(said.problem)
      return []
    },
  }
  return { attestor, said }
}

async function streaming(others: readonly WorkloadAttestor[] = []) {
  const { attestor, said } = changingAttestor()
  const server = await testServer()
  server.lifetimes.x509 = 4
  server.entries = [fakeEntry('/web', ['k8s:pod-label:app:web'])]
  const { agent, socket } = testAgent(server, { attestors: [attestor, ...others] })
  await agent.start()
  const client = openWorkloadClient(socket)
  onTestFinished(() => client.close())
  const messages = new Messages(client.fetchX509Svid({}, header()))
  await messages.next()
  return { said, messages, server }
}

describe('a workload that keeps its stream open', () => {
  it('gets no further key once it is not any more what it was', async () => {
    const { said, messages } = await streaming()
    said.selectors = []
    await expect(messages.next()).rejects.toMatchObject({
      code: status.PERMISSION_DENIED,
      details: 'no identity issued',
    })
  })

  it('keeps nothing of one source by having another one find nothing', async () => {
    const unix: WorkloadAttestor = {
      name: 'unix',
      async attest(_process, note) {
        note('its program was deleted')
        return []
      },
    }
    const { said, messages } = await streaming([unix])
    said.selectors = []
    await expect(messages.next()).rejects.toMatchObject({ code: status.PERMISSION_DENIED })
  })

  it('loses nothing while what it was attested with cannot be asked', async () => {
    const { said, messages } = await streaming()
    said.problem = 'the kubelet does not answer'
    expect((await messages.next()).svids).toHaveLength(1)
    said.problem = undefined
    expect((await messages.next()).svids).toHaveLength(1)
  })
})
