/** Where the agent writes what happens; pino's loggers fit. Fields never hold a key, a token or a join token. */
export interface AgentLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export const silentLog: AgentLog = { info() {}, warn() {}, error() {} }
