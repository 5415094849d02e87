import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { generateSigningKey, jwkThumbprint } from '@countersign/tokens'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CliServer, startCliServer } from './cli.fixture.ts'

let cli: CliServer
beforeAll(async () => {
  cli = await startCliServer()
})
afterAll(() => cli.close())

/** Writes a public key whose thumbprint begins with a dash. */
async function writeDashedKey(file: string): Promise<string> {
  for (;;) {
    const { publicJwk } = await generateSigningKey('EdDSA')
    const kid = jwkThumbprint(publicJwk)
    if (!kid.startsWith('-')) continue
    await writeFile(join(cli.folder, file), JSON.stringify(publicJwk))
    return kid
  }
}

describe('a key whose thumbprint begins with a dash', () => {
  it.each(['KID --json', '--json KID', '--json -- KID'])(
    'is named as any other: client key remove CLIENT %s',
    async (words) => {
      const kid = await writeDashedKey('client.jwk')
      const client = `dashed-${words.length}`
      await cli.run(`client create --id ${client}`)
      expect((await cli.run(`client key add ${client} --jwk client.jwk`)).code).toBe(0)
      const removed = await cli.run(`client key remove ${client} ${words.replace('KID', kid)}`)
      expect(removed).toMatchObject({ code: 0, json: { client_id: client, kid, removed: true } })
    },
  )

  it('is the value of an option that takes one', async () => {
    const [first, second] = [await writeDashedKey('first.jwk'), await writeDashedKey('second.jwk')]
    await cli.run('service register dashed --jwk first.jwk')
    await cli.run('service register dashed --jwk second.jwk --add')
    const removed = await cli.run(`service unregister dashed --kid ${first} --json`)
    expect(removed).toMatchObject({ code: 0, json: { name: 'dashed', kid: first } })
    expect((await cli.run(`service unregister dashed --kid=${second}`)).code).toBe(0)
  })

  it.each(['-h', '--', '-9'])('is no option when it begins with %s', async (start) => {
    const { code, stderr } = await cli.run(`key revoke ${start.padEnd(43, 'x')}`)
    expect(code).toBe(1)
    expect(stderr).toContain('countersign key list')
  })

  it('makes no operand of other words: a misspelt option is told', async () => {
    const { code, stderr } = await cli.run('key revoke --jsno')
    expect(code).toBe(2)
    expect(stderr).toContain('unknown option "--jsno"')
  })
})
