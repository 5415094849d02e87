import { describe, expect, it } from 'vitest'
import { createServiceSigner, signerFromEnvironment } from '../index.ts'
import { newPem } from './receiver.fixture.ts'

const named = { SERVICE_SHORT_NAME: 'order' }

function problemOf(environment: Record<string, string>): Error {
  try {
    signerFromEnvironment(environment)
  } catch (error) {
    return error as Error
  }
  throw new Error('accepted')
}

describe('signerFromEnvironment', () => {
  it('reads what a service has', async () => {
    const pem = await newPem()
    const spelled = pem.replaceAll('\n', '\\n')
    const options = signerFromEnvironment({ ...named, SERVICE_SECRET_KEY: spelled, M2M_TOKEN_TTL: '' })
    expect(options).toEqual({ name: 'order', secretKey: spelled })
    expect(createServiceSigner(options).name).toBe('order-service')
    expect(signerFromEnvironment({ ...named, SERVICE_SECRET_KEY_FILE: 'a.pem', SERVICE_SECRET_KEY: '' })).toEqual({
      name: 'order',
      secretKeyFile: 'a.pem',
    })
  })

  it.each([
    ['60', 60],
    ['90s', 90],
    ['15m', 900],
    [' 5 ', 5],
  ])('reads M2M_TOKEN_TTL=%j', (text, seconds) => {
    const { lifetimeSeconds } = signerFromEnvironment({ ...named, SERVICE_SECRET_KEY: 'x', M2M_TOKEN_TTL: text })
    expect(lifetimeSeconds).toBe(seconds)
  })

  it.each(['0', '901', '16m', '1h', '-1', '1.5', '1e2', 'sixty'])('refuses M2M_TOKEN_TTL=%j', (text) => {
    const problem = problemOf({ ...named, SERVICE_SECRET_KEY: 'x', M2M_TOKEN_TTL: text })
    expect(problem).toMatchObject({ code: 'invalid_configuration', message: expect.stringContaining('M2M_TOKEN_TTL') })
  })

  it('says what is missing, or given twice', () => {
    expect(problemOf({ SERVICE_SECRET_KEY: 'x' }).message).toContain('SERVICE_SHORT_NAME')
    expect(problemOf(named).message).toContain('countersign service keygen')
    const twice = problemOf({ ...named, SERVICE_SECRET_KEY: 'canary', SERVICE_SECRET_KEY_FILE: 'x' })
    expect(twice.message).toContain('unset one')
    expect(twice.message).not.toContain('canary')
  })
})
