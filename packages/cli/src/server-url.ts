import { isIP } from 'node:net'
import { wrongUse } from './cli-error.ts'

/** The server's address without a final slash. @param source says in the error where it came from. */
export function parseServerUrl(text: string, source: string): string {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.host === '') {
    throw wrongUse(`${source} ${JSON.stringify(text)} is not a URL; write it like https://auth.example.com`)
  }
  if (url.username !== '' || url.password !== '') {
    throw wrongUse(`${source} holds a user name or password; take it out and use --client-id and --client-secret-file`)
  }
  if (url.search !== '' || url.hash !== '') {
    throw wrongUse(`${source} has a query or fragment; give only the server's address, like https://auth.example.com`)
  }
  return url.href.replace(/\/+$/, '')
}

/** A secret on its way over plain http can be read by everybody between here and there, unless there is here. */
export function refusePlainHttp(url: string, allowHttp: boolean): void {
  if (allowHttp || !url.startsWith('http:') || isLoopback(new URL(url).hostname)) return
  throw wrongUse(
    `${url} is not encrypted, so the credential could be read on the way; use https, or add --allow-http where the network is trusted`,
  )
}

export function isLoopback(hostname: string): boolean {
  const bare = hostname.replace(/^\[|\]$/g, '')
  return (
    bare === 'localhost' ||
    bare.endsWith('.localhost') ||
    bare === '::1' ||
    (isIP(bare) === 4 && bare.startsWith('127.'))
  )
}
