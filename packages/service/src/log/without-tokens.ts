/** Takes every JWT out of a text, whatever led it there: what a log holds may be read by many. */
export function withoutTokens(text: string): string {
  return text.includes('eyJ') ? text.replace(compactJws, '[token]') : text
}

/** A JOSE header begins with `{"`, which is `eyJ`; cut-off ones are taken out too. */
const compactJws = /eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}/g
