// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are expressions
import { describe, expect, it } from 'vitest'
import { refused } from '../expressions/refused.fixture.ts'
import { readServiceDocument } from './read-service-document.ts'

function request(part: object) {
  const { apiCallActions } = readServiceDocument({
    name: 'call',
    apiCallRequest: { method: 'POST', url: 'https://api.example.com/', ...part },
  }).actions
  return apiCallActions[0]!.request
}

describe('the URL of a call', () => {
  const url = (source: string, context: object = {}) => request({ url: source }).url.evaluate(context)

  it('keeps what is filled in within its segment or value', () => {
    const source = 'https://api.example.com/orders/${this.id}/items?q=${this.q}#${this.q}'
    expect(url(source, { id: '../admin?x=1#y', q: 'a&b=c é+%' })).toBe(
      'https://api.example.com/orders/..%2Fadmin%3Fx%3D1%23y/items?q=a%26b%3Dc%20%C3%A9%2B%25#a%26b%3Dc%20%C3%A9%2B%25',
    )
    expect(url('`https://api.example.com/orders/${this.id}`', { id: '/' })).toBe('https://api.example.com/orders/%2F')
    expect(url(source, { id: 7, q: true })).toBe('https://api.example.com/orders/7/items?q=true#true')
    expect(url('https://x.example/${this.id}', { id: '\ud800' })).toBe('https://x.example/%EF%BF%BD')
  })

  it.each([
    ['..', 'https://api.example.com/orders/${this.id}/items'],
    ['.', 'https://api.example.com/orders/${this.id}'],
    ['.', 'https://api.example.com/orders/.${this.id}?a'],
  ])('refuses a segment that would change the path: %s in %s', (id, source) => {
    expect(refused(() => url(source, { id })).message).toContain('changes the path')
  })

  it.each([
    ['evil.example/', 'another host'],
    ['me:pw@evil.example', 'a user name'],
    ['a\\@evil.example', 'a backslash'],
    ['', 'nothing'],
  ])('refuses a host that is filled in with what is none: %s', (region) => {
    expect(refused(() => url('https://${this.region}/', { region })).code).toBe('expression_failed')
  })

  it('takes a base as it is, if it is an http(s) URL without a password', () => {
    expect(url('${this.base}/v1/${this.id}', { base: 'http://127.0.0.1:8080', id: 'a/b' })).toBe(
      'http://127.0.0.1:8080/v1/a%2Fb',
    )
    expect(url('this.callback', { callback: 'https://example.com/a?b' })).toBe('https://example.com/a?b')
    for (const callback of ['file:///etc/passwd', 'javascript:1', '//evil.example', 5, undefined, 'https://a:b@c/']) {
      expect(refused(() => url('this.callback', { callback })).code).toBe('expression_failed')
    }
  })

  it('fails where a part is missing', () => {
    const error = refused(() => url('https://api.example.com/orders/${this.id}'))
    expect(error.code).toBe('expression_failed')
    expect(error.message).toContain('line 1, column 32: what is undefined has no text')
  })
})

describe('the params of a call', () => {
  it('are texts, and lists of them', () => {
    const params = request({
      params: {
        id: 'this.id',
        page: 1,
        all: true,
        note: 'a ${this.id}',
        tags: 'this.tags',
        gone: 'this.gone',
        no: null,
      },
    }).params
    expect(params?.evaluate({ id: 'x', tags: ['a', 2] })).toEqual({
      id: 'x',
      page: '1',
      all: 'true',
      note: 'a x',
      tags: ['a', '2'],
    })
  })

  it('may come from one expression', () => {
    expect(request({ params: '{ ...this.filter, page: 2 }' }).params?.evaluate({ filter: { a: 1 } })).toEqual({
      a: '1',
      page: '2',
    })
    expect(refused(() => request({ params: 'this.filter' }).params?.evaluate({ filter: 'a=1' })).code).toBe(
      'expression_failed',
    )
  })

  it('are no objects', () => {
    expect(refused(() => request({ params: { a: 'this.a' } }).params?.evaluate({ a: { b: 1 } })).message).toBe(
      '"a" must come out as a text, a number or a boolean',
    )
  })
})

describe('the headers of a call', () => {
  it('are texts, and left out when there is nothing to say', () => {
    const headers = request({
      headers: { 'x-order': 'this.id', 'x-count': 2, 'x-who': 'order ${this.id}', 'x-no': 'this.no' },
    })
    expect(headers.headers?.evaluate({ id: 7 })).toEqual({ 'x-order': '7', 'x-count': '2', 'x-who': 'order 7' })
  })

  it.each(['a\r\nx-admin: 1', 'a\n', 'a\u0000', 'ł'])('take no line break or other sign that none may have', (id) => {
    const error = refused(() => request({ headers: { 'x-order': 'this.id' } }).headers?.evaluate({ id }))
    expect(error.code).toBe('expression_failed')
    expect(error.message).not.toContain(id)
  })

  it('never hold the token, not even by way of an expression', () => {
    const headers = request({ headers: '{ ...this.headers }' }).headers
    for (const name of ['x-m2m-token', 'M2M-Token', 'Host', 'Content-Length', 'a b']) {
      expect(refused(() => headers?.evaluate({ headers: { [name]: 'x' } })).code).toBe('expression_failed')
    }
  })
})

describe('a body or a message', () => {
  it('is an expression, when it is text', () => {
    expect(request({ body: '{ data: this.data }' }).body?.evaluate({ data: [1] })).toEqual({ data: [1] })
    expect(request({ body: "'text'" }).body?.evaluate({})).toBe('text')
  })

  it('is otherwise a value, in which texts stand for themselves unless they begin with a member of this', () => {
    const body = request({
      body: {
        type: 'order',
        id: 'this.id',
        all: ['this.id', 'x', 1, null],
        note: '#${this.id}',
        gone: 'this.gone',
        deep: { n: 'this.n' },
      },
    }).body
    expect(body?.evaluate({ id: 7, n: { a: 1 } })).toEqual({
      type: 'order',
      id: 7,
      all: [7, 'x', 1, null],
      note: '#7',
      deep: { n: { a: 1 } },
    })
  })
})
