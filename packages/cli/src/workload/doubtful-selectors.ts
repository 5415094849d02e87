/** What our attestors give, by type; docs/selectors.md. Other types are other attestors' own. */
const known: Readonly<Record<string, readonly string[]>> = {
  unix: ['uid', 'gid', 'user', 'group', 'supplementary_gid', 'supplementary_group', 'path', 'sha256'],
  systemd: ['id', 'fragment_path'],
  docker: ['label', 'env', 'image_id', 'image_config_digest'],
}

/** Of these a process has one. */
const single = ['unix:uid', 'unix:gid', 'unix:user', 'unix:group', 'unix:path', 'unix:sha256', 'systemd:id']

/** A sentence for each selector of an entry that no process can ever have, or not beside the others. */
export function doubtfulSelectors(selectors: readonly string[]): string[] {
  const names = selectors.map((selector) => selector.split(':', 2).join(':'))
  const twice = single.filter((name) => names.filter((other) => other === name).length > 1)
  return [
    ...selectors.flatMap((selector) => doubtAbout(selector) ?? []),
    ...twice.map((name) => `a process has one ${name}, and this entry demands two: it fits nothing`),
  ]
}

function doubtAbout(selector: string): string | undefined {
  const [type = '', name = '', ...rest] = selector.split(':')
  const names = known[type]
  if (names === undefined) return undefined
  if (!names.includes(name)) return `no process has ${type}:${name}; there are ${names.join(', ')}`
  if (/^(supplementary_)?[ug]id$/.test(name) && !/^\d+$/.test(rest.join(':')))
    return `${selector} fits nothing: ${type}:${name} is a number; by name it is ${type}:${name.replace('uid', 'user').replace('gid', 'group')}`
  if (name === 'sha256' && !/^[0-9a-f]{64}$/.test(rest.join(':')))
    return `${selector} fits nothing: it is 64 lower-case hex digits, as sha256sum prints them`
  return undefined
}
