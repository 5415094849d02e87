import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findConnection } from './connection.ts'
import { contextPath, saveContext } from './context-file.ts'

let folder: string
let saved: NodeJS.ProcessEnv
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-context-'))
  saved = { XDG_CONFIG_HOME: folder }
  await saveContext(
    { url: 'https://auth.example.com', client_id: 'admin', client_secret: 'saved-secret' },
    contextPath(saved),
  )
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const secretOf = (connection: Awaited<ReturnType<typeof findConnection>>) =>
  'secret' in connection.credential ? connection.credential.secret.reveal() : undefined

describe('findConnection', () => {
  it('takes what login saved', async () => {
    const connection = await findConnection({}, saved)
    expect(connection).toMatchObject({ url: 'https://auth.example.com', clientId: 'admin' })
    expect(secretOf(connection)).toBe('saved-secret')
  })

  it('lets options win over the environment, and the environment over the saved context', async () => {
    await writeFile(join(folder, 'secret'), 'file-secret\n')
    const environment = {
      ...saved,
      COUNTERSIGN_URL: 'https://env.example.com/',
      COUNTERSIGN_CLIENT_ID: 'env',
      COUNTERSIGN_CLIENT_SECRET: 'env-secret',
    }
    expect(await findConnection({}, environment)).toMatchObject({ url: 'https://env.example.com', clientId: 'env' })
    const options = { url: 'https://option.example.com', clientId: 'option', clientSecretFile: join(folder, 'secret') }
    const connection = await findConnection(options, environment)
    expect(connection).toMatchObject({ url: 'https://option.example.com', clientId: 'option' })
    expect(secretOf(connection)).toBe('file-secret')
  })

  it('reads the secret from the file that COUNTERSIGN_CLIENT_SECRET_FILE names', async () => {
    await writeFile(join(folder, 'mounted'), 'mounted-secret\n')
    expect(
      secretOf(await findConnection({}, { ...saved, COUNTERSIGN_CLIENT_SECRET_FILE: join(folder, 'mounted') })),
    ).toBe('mounted-secret')
  })

  it('never sends a saved credential to another server, or as another client', async () => {
    await expect(findConnection({ url: 'https://evil.example.com' }, saved)).rejects.toThrow('goes nowhere else')
    await expect(findConnection({}, { ...saved, COUNTERSIGN_URL: 'https://evil.example.com' })).rejects.toThrow(
      'goes nowhere else',
    )
    await expect(findConnection({ clientId: 'other' }, saved)).rejects.toThrow('goes nowhere else')
    expect(secretOf(await findConnection({ url: 'https://auth.example.com/' }, saved))).toBe('saved-secret')
  })

  it('refuses a saved context that others may read', async () => {
    await writeFile(join(folder, 'countersign', 'context.json'), '{}', { mode: 0o644 })
    const { chmod } = await import('node:fs/promises')
    await chmod(join(folder, 'countersign', 'context.json'), 0o644)
    await expect(findConnection({}, saved)).rejects.toThrow('chmod 600')
  })

  it('keeps the saved context to its owner', async () => {
    expect((await stat(contextPath(saved))).mode & 0o777).toBe(0o600)
    expect((await stat(join(folder, 'countersign'))).mode & 0o777).toBe(0o700)
  })

  it('refuses plain http beyond this machine unless told otherwise', async () => {
    const given = { ...saved, COUNTERSIGN_CLIENT_ID: 'a', COUNTERSIGN_CLIENT_SECRET: 'b' }
    await expect(findConnection({ url: 'http://auth.internal' }, given)).rejects.toThrow('not encrypted')
    await expect(findConnection({ url: 'http://127.0.0.1.evil.com' }, given)).rejects.toThrow('not encrypted')
    expect(await findConnection({ url: 'http://auth.internal', allowHttp: true }, given)).toMatchObject({
      url: 'http://auth.internal',
    })
    expect(await findConnection({ url: 'http://127.0.0.1:8080' }, given)).toMatchObject({
      url: 'http://127.0.0.1:8080',
    })
  })

  it.each(['localhost:8080', 'ftp://x', 'https://user:pass@x', 'https://x/?a=b', ''])(
    'refuses %j as a server',
    async (url) => {
      await expect(findConnection({ url }, saved)).rejects.toMatchObject({ exitCode: 2 })
    },
  )

  it('says what is missing', async () => {
    const none = { XDG_CONFIG_HOME: join(folder, 'none') }
    await expect(findConnection({}, none)).rejects.toThrow('run countersign login')
    await expect(findConnection({ url: 'https://x.example' }, none)).rejects.toThrow('client id')
    await expect(findConnection({ url: 'https://x.example', clientId: 'a' }, none)).rejects.toThrow('secret')
  })
})
