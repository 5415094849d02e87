import { describe, expect, it } from 'vitest'
import { grpcTarget } from './socket-address.ts'

describe('the address of the Workload API', () => {
  it('is a Unix socket, an IP address with a port, or a plain absolute path', () => {
    expect(grpcTarget('unix:///run/agent.sock')).toBe('unix:/run/agent.sock')
    expect(grpcTarget('unix:/run/agent.sock')).toBe('unix:/run/agent.sock')
    expect(grpcTarget('unix:///run/with%20space.sock')).toBe('unix:/run/with space.sock')
    expect(grpcTarget('/run/agent.sock')).toBe('unix:/run/agent.sock')
    expect(grpcTarget('tcp://127.0.0.1:8000')).toBe('ipv4:127.0.0.1:8000')
    expect(grpcTarget('tcp://[::1]:8000')).toBe('ipv6:[::1]:8000')
  })

  it.each([
    ['', 'unix:/run/countersign/agent.sock'],
    ['unix:///tmp/other.sock', 'unix:/tmp/other.sock'],
  ])('comes from SPIFFE_ENDPOINT_SOCKET=%s', (value, target) => {
    const before = process.env.SPIFFE_ENDPOINT_SOCKET
    process.env.SPIFFE_ENDPOINT_SOCKET = value
    try {
      expect(grpcTarget()).toBe(target)
    } finally {
      if (before === undefined) delete process.env.SPIFFE_ENDPOINT_SOCKET
      else process.env.SPIFFE_ENDPOINT_SOCKET = before
    }
  })

  it.each([
    'unix://run/agent.sock',
    'unix:///',
    'unix:///run/agent.sock?x=1',
    'tcp://localhost:8000',
    'tcp://127.0.0.1',
    'tcp://127.0.0.1:8000/path',
    'tcp://user@127.0.0.1:8000',
    'https://127.0.0.1:8000',
    'agent.sock',
    'tcp://127.0.0.1:99999',
  ])('is refused when it is %s', (address) => {
    expect(() => grpcTarget(address)).toThrow(expect.objectContaining({ code: 'invalid_configuration' }))
  })
})
