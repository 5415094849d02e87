/**
 * node:http, loaded without what the agent has no use for. An `import` of it reads all of its exports, `WebSocket` among
 * them, which brings in the whole of undici: ten megabytes in every agent.
 */
export const { createServer, request } = process.getBuiltinModule('node:http')
