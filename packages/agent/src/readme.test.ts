import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { testFolder } from './agent.fixture.ts'
import * as agent from './index.ts'

const readme = readFileSync(join(import.meta.dirname, '..', 'README.md'), 'utf8')

it('shows settings that the agent takes', async () => {
  const [, yaml = ''] = /```yaml\n(.*?)```/s.exec(readme) ?? []
  const file = join(testFolder(), 'agent.yaml')
  writeFileSync(file, yaml)
  const options = await agent.readAgentSettings({ file, environment: {} })
  expect(options).toMatchObject({ server: 'countersign.internal:8081', trustDomain: 'example.org' })
  expect(options.attestors.map(({ name }) => name)).toEqual(['unix', 'systemd', 'docker'])
})

it('names only what is exported', () => {
  const [, names = ''] = /import \{ (.*?) \} from '@countersign\/agent'/.exec(readme) ?? []
  for (const name of [...names.split(', '), 'agentSettings']) expect(agent).toHaveProperty(name)
})
