import { type DocumentFault, ServiceError } from '../service-error.ts'

/** All faults in one error, a line each. */
export function invalidDocument(faults: readonly DocumentFault[]): ServiceError {
  const count = faults.length === 1 ? 'a fault' : `${faults.length} faults`
  const lines = faults.map(({ path, message, place }) => {
    const where = [place, path === '' ? undefined : path].filter((part) => part !== undefined)
    return `\n- ${[...where, message].join(': ')}`
  })
  return new ServiceError('invalid_document', `the document of the service has ${count}:${lines.join('')}`, { faults })
}

/** `businessApis[0].authOptions.loginRequired` */
export function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((step) => {
      if (typeof step === 'number') return `[${step}]`
      return /^[\w$-]+$/.test(String(step)) ? `.${String(step)}` : `[${JSON.stringify(step)}]`
    })
    .join('')
    .replace(/^\./, '')
}
