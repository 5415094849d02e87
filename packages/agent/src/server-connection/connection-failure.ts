/**
 * Why a connection could not be made, as an operator can use it. grpc-js wraps it in words of its own, around OpenSSL's.
 * A message that says something else stays what it is.
 */
export function connectionFailure(message: string): string {
  const [, wrapped] = /No connection established\. Last error: (.*?)\.?\s*Resolution note:/s.exec(message) ?? []
  const said = (wrapped ?? message).replace(/^(?:[A-Za-z]*Error: )+/, '').trim()
  const [, address] = /connect ECONNREFUSED ([^\s,]+)/.exec(said) ?? []
  if (address !== undefined)
    return `nobody listens at ${address}; is the server up, and is this the port of its node API?`
  const [, name] = /Name resolution failed for target (?:dns:)?([^\s,]+)/.exec(said) ?? []
  if (name !== undefined) return `no address is known for ${name}; is the server's name right?`
  if (said.includes('wrong version number'))
    return 'what answers there speaks no TLS; name the port of the node API (8081 by default), not that of the HTTP API'
  if (said.includes('no application protocol'))
    return 'what answers there speaks no gRPC; name the port of the node API (8081 by default)'
  if (
    wrapped !== undefined &&
    /self-signed certificate|unable to (get|verify)|certificate signature failure/.test(said)
  )
    return `no authority of the bundle vouches for the server (${said}); get its bundle anew (countersign bundle show --format pem), and start the agent with it and an empty data directory`
  if (wrapped !== undefined && /certificate (has expired|is not yet valid)/.test(said))
    return `the server's ${said}, by this machine's clock; is the clock right, here and at the server?`
  if (wrapped !== undefined && said.startsWith('Failed to connect'))
    return "the server ends the connection at once: it is stopping, has too many, or does not trust this agent's SVID"
  return wrapped === undefined ? message : said
}
