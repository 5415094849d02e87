export { type ClientCertificate, createMtlsFetch, type MtlsFetch, type MtlsFetchOptions } from './mtls/mtls-fetch.ts'
