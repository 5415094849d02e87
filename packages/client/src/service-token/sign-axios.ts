import { serviceTokenHeaders } from '@countersign/tokens'
import { type AxiosAdapter, AxiosHeaders, type AxiosInstance, getAdapter, type InternalAxiosRequestConfig } from 'axios'
import { absoluteUrl, isRedirect, outcomeOf } from '../axios-attempt.ts'
import { ClientError } from '../client-error.ts'
import { serialiseAxiosBody } from './axios-body.ts'
import type { ServiceSigner } from './service-signer.ts'
import { addressOf, redirected, refuseUnsignable, type SigningOptions, signCall } from './signed-call.ts'

/** What a signing adapter sends with, so that a plugin that sends a request again is not signed twice over. */
const innerAdapters = new WeakMap<AxiosAdapter, InternalAxiosRequestConfig['adapter']>()

/**
 * Makes an axios instance sign each call, as `createSignedFetch` does: the bytes that axios will really send, at the
 * last moment and on a copy, so that no token stands in `error.config` or `response.config` where loggers look. With a
 * token no redirect is followed (`redirected`), unless `maxRedirects: 0` asks to be handed it.
 * @returns a function that undoes it
 */
export function signAxios(instance: AxiosInstance, signer: ServiceSigner, options: SigningOptions = {}): () => void {
  const id = instance.interceptors.request.use((config) => {
    const given = config.adapter ?? instance.defaults.adapter!
    const inner = typeof given === 'function' && innerAdapters.has(given) ? innerAdapters.get(given)! : given
    const signing: AxiosAdapter = (final) => sendSigned(final, instance, getAdapter(inner, final), signer, options)
    innerAdapters.set(signing, inner)
    config.adapter = signing
    return config
  })
  return () => instance.interceptors.request.eject(id)
}

async function sendSigned(
  config: InternalAxiosRequestConfig,
  instance: AxiosInstance,
  send: AxiosAdapter,
  signer: ServiceSigner,
  options: SigningOptions,
) {
  const given = absoluteUrl(instance, config)
  if (given === undefined) throw new ClientError('invalid_target', 'the address of the call is no absolute URL')
  const url = addressOf(given)
  refuseUnsignable(url, (name) => config.headers.get(name)?.toString())
  const method = (config.method ?? 'get').toUpperCase()
  const { content, headers: bodyHeaders } = await serialiseAxiosBody(config.data)

  const headers = new AxiosHeaders(config.headers)
  headers.set(bodyHeaders)
  const token = signCall(signer, { url, method, content: content ?? new Uint8Array() }, options)
  headers.set(options.header ?? serviceTokenHeaders[0], token)
  // The address and the bytes that were signed are those that are sent: nothing is left to be combined later.
  const final = { url: url.href, baseURL: undefined, params: undefined, method, headers, data: content ?? undefined }
  const noRedirect = { maxRedirects: 0, fetchOptions: { ...config.fetchOptions, redirect: 'manual' as const } }
  const { response, error } = await outcomeOf(send({ ...config, ...final, ...noRedirect }), config)
  if (response !== undefined && isRedirect(response) && config.maxRedirects !== 0) {
    throw redirected(url, method, response.status)
  }
  if (error !== undefined) throw error
  return response!
}
