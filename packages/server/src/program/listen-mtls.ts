import { parsePemCertificates } from '@countersign/spiffe'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import type { Authority } from '../authority.ts'
import { createOwnSvid, type OwnSvid } from '../certificate-authorities/own-svid.ts'
import type { Config } from '../config/config-schema.ts'
import type { MtlsOptions } from '../http/app.ts'
import { type MtlsListener, startMtlsListener } from '../http/mtls-listener.ts'
import { followTls, readTls, type TlsFiles } from '../http/tls.ts'
import { followedFile } from './followed-file.ts'

type MtlsConfig = NonNullable<Config['mtls']>

/**
 * How client certificates are taken, as configured.
 * @param portOf told once the listener listens; the port of the configuration may be 0
 * @throws Error with a sentence when the file of CAs cannot be read
 */
export function mtlsOptions(config: Config, portOf: () => number | undefined, logger: Logger): MtlsOptions | undefined {
  const { mtls } = config
  if (!mtls) return undefined
  return {
    baseUrl: () => (mtls.port === undefined ? mtls.base_url : (mtls.base_url ?? baseUrl(config, portOf()))),
    clientAuthorities:
      mtls.client_ca_file === undefined
        ? undefined
        : followedFile({
            setting: 'mtls.client_ca_file',
            file: mtls.client_ca_file,
            read: parsePemCertificates,
            logger,
          }),
    proxies: mtls.proxies && {
      header: mtls.proxies.header,
      spiffeIds: mtls.proxies.spiffe_ids,
      addresses: mtls.proxies.addresses,
    },
  }
}

function baseUrl({ issuer }: Config, port: number | undefined): string | undefined {
  return port === undefined ? undefined : `https://${new URL(issuer).hostname}:${port}`
}

/**
 * Starts the listener and keeps its certificate fresh. @returns it and what ends it
 * @throws Error with a sentence when there is no certificate to serve
 */
export async function listenForCertificates(
  app: FastifyInstance,
  authority: Authority,
  config: Config,
  logger: Logger,
): Promise<{ listener: MtlsListener; close(): Promise<void> }> {
  const mtls = config.mtls as MtlsConfig & { port: number }
  const files = filesOf(mtls, config)
  const source = files ? certificateFiles(files) : await createOwn(authority, config)
  const listener = await startMtlsListener({ app, certificate: source.current(), host: mtls.host, port: mtls.port })
  const stop = source.follow(listener.renew, (error) =>
    logger.error({ err: error }, 'the certificate of mtls cannot be renewed, the old one stays'),
  )
  return {
    listener,
    async close() {
      stop()
      await listener.close()
    },
  }
}

function filesOf(mtls: MtlsConfig, { tls }: Config): TlsFiles | undefined {
  const { cert_file: certFile = tls?.cert_file, key_file: keyFile = tls?.key_file } = mtls
  return certFile !== undefined && keyFile !== undefined ? { certFile, keyFile } : undefined
}

function certificateFiles(files: TlsFiles): OwnSvid {
  return { current: () => readTls(files), follow: (onRenewed, onError) => followTls(files, onRenewed, onError) }
}

function createOwn(authority: Authority, config: Config): Promise<OwnSvid> {
  const { workloadIdentity } = authority
  if (!workloadIdentity || !config.spiffe) {
    throw new Error(
      'mtls.port needs a certificate to serve: set mtls.cert_file and mtls.key_file, tls, or spiffe.trust_domain',
    )
  }
  const { hostname } = new URL(config.mtls?.base_url ?? config.issuer)
  return createOwnSvid({
    ...workloadIdentity,
    lifetimeSeconds: config.spiffe.agent_svid_ttl,
    // Clients come to it by the host's name; an address is none.
    dnsNames: /^[a-z0-9.-]*[a-z][a-z0-9.-]*$/i.test(hostname) ? [hostname] : [],
    audit: authority.audit,
    now: authority.now,
  })
}
