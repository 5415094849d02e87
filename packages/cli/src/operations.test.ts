import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CliServer, runCli, startCliServer } from './cli.fixture.ts'

let cli: CliServer
beforeAll(async () => {
  cli = await startCliServer()
})
afterAll(() => cli.close())

describe('countersign login', () => {
  it('tries the credential, saves it for its owner only, and never prints it', async () => {
    const env = { XDG_CONFIG_HOME: cli.folder }
    const args = ['login', '--url', cli.server.url, '--client-id', 'admin', '--client-secret-file', '-']
    const { code, stdout, stderr } = await runCli(args, { env, stdin: `${cli.adminSecret}\n` })
    expect(code).toBe(0)
    expect(stdout + stderr).not.toContain(cli.adminSecret)
    const saved = join(cli.folder, 'countersign', 'context.json')
    expect((await stat(saved)).mode & 0o777).toBe(0o600)
    expect(JSON.parse(await readFile(saved, 'utf8'))).toMatchObject({
      client_id: 'admin',
      client_secret: cli.adminSecret,
    })
    expect((await runCli(['api', 'list', '--json'], { env })).json.items).toHaveLength(1)
  })

  it('saves nothing when the credential is refused, and does not repeat it', async () => {
    const env = { XDG_CONFIG_HOME: join(cli.folder, 'other'), COUNTERSIGN_CLIENT_SECRET: 'cs_secret_canary' }
    const { code, stdout, stderr } = await runCli(['login', '--url', cli.server.url, '--client-id', 'admin'], { env })
    expect(code).toBe(1)
    expect(stdout + stderr).not.toContain('canary')
    await expect(stat(join(cli.folder, 'other'))).rejects.toThrow('ENOENT')
  })

  it('does not ask where there is no terminal', async () => {
    const { code, stderr } = await runCli(['login', '--url', cli.server.url, '--client-id', 'admin'], {
      env: { XDG_CONFIG_HOME: cli.folder },
    })
    expect(code).toBe(2)
    expect(stderr).toContain('--client-secret-file FILE (- for standard input) or COUNTERSIGN_CLIENT_SECRET')
  })
})

describe('countersign doctor', () => {
  const configured = () => ({
    COUNTERSIGN_ISSUER: cli.server.issuer,
    COUNTERSIGN_DATABASE_URL: cli.server.databaseUrl,
    COUNTERSIGN_MASTER_KEY: cli.server.masterKey,
  })

  it('finds nothing wrong with a server that works', async () => {
    const { code, json } = await cli.run('doctor --json', { env: configured() })
    expect(json.findings.filter(({ status }: { status: string }) => status === 'problem')).toEqual([])
    const checks = new Set(json.findings.map(({ check }: { check: string }) => check))
    expect(checks).toEqual(new Set(['config', 'store', 'master key', 'reachability', 'clock', 'keys', 'access']))
    expect(code).toBe(0)
  })

  it.each([
    ['a misspelt setting', { COUNTERSIGN_ISSUR: 'x' }, 'did you mean COUNTERSIGN_ISSUER?'],
    ['the wrong master key', { COUNTERSIGN_MASTER_KEY: Buffer.alloc(32).toString('base64url') }, 'was made with'],
    ['a server that is away', { COUNTERSIGN_URL: 'http://localhost:9' }, 'cannot be reached'],
    ['a credential that is refused', { COUNTERSIGN_CLIENT_SECRET: 'wrong' }, 'does not accept this credential'],
  ])('finds %s, with its cure, and exits 1', async (_what, env, says) => {
    const { code, stdout } = await cli.run('doctor', { env: { ...configured(), ...env } })
    expect(code).toBe(1)
    expect(stdout).toContain('PROBLEM')
    expect(stdout).toContain(says)
    expect(stdout).toContain('->')
  })
})

describe('countersign backup and restore', () => {
  it('brings a store back elsewhere, and does not overwrite one in use unasked', async () => {
    const env = {
      COUNTERSIGN_ISSUER: cli.server.issuer,
      COUNTERSIGN_DATABASE_URL: cli.server.databaseUrl,
      COUNTERSIGN_MASTER_KEY: cli.server.masterKey,
    }
    const made = await cli.run('backup store.backup --json', { env })
    expect(made.json).toMatchObject({ file: 'store.backup', rows: expect.any(Number) })
    const elsewhere = { ...env, COUNTERSIGN_DATABASE_URL: `sqlite:${join(cli.folder, 'restored.db')}` }
    const restored = await cli.run('restore store.backup --json', { env: elsewhere })
    expect(restored.json).toMatchObject({ rows: made.json.rows, warnings: expect.any(Array) })
    const again = await cli.run('restore store.backup', { env: elsewhere })
    expect(again.code).toBe(1)
    expect(again.stderr).toContain('--replace')
    expect((await cli.run('restore store.backup --replace', { env: elsewhere })).code).toBe(0)
    await writeFile(join(cli.folder, 'junk'), 'junk')
    expect(await cli.run('restore junk', { env: elsewhere })).toMatchObject({ code: 1, stdout: '' })
  })
})
