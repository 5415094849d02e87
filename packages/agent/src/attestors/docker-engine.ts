import { request } from '../node-http.ts'
import { readJson } from './read-json.ts'

export interface ContainerConfiguration {
  readonly labels: Readonly<Record<string, string>>
  /** `NAME=value` each. */
  readonly environment: readonly string[]
  /** The image as it was named when the container was made. */
  readonly imageName: string
  /** The image that it really runs, whatever the name stands for by now. */
  readonly imageDigest: string
}

const MAX_ANSWER_BYTES = 4 * 2 ** 20

/**
 * Asks the engine about a container (Docker Engine API, `GET /containers/ID/json`), in the API version that it likes.
 *
 * @throws Error when it does not run or the engine cannot be asked
 */
export async function inspectContainer(
  id: string,
  socket: string,
  timeoutMilliseconds: number,
): Promise<ContainerConfiguration> {
  const path = `/containers/${id}/json`
  const sent = request({ socketPath: socket, path, headers: { host: 'docker' }, agent: false })
  const answer = await readJson(sent, `the container engine at ${socket}`, {
    maxBytes: MAX_ANSWER_BYTES,
    timeoutMilliseconds,
  })
  const { Id, Image, State, Config } = (answer ?? {}) as Record<string, Record<string, unknown> | unknown>
  const configuration = (Config ?? {}) as Record<string, unknown>
  if (Id !== id) throw new Error(`the container engine at ${socket} answered for another container than ${id}`)
  if ((State as { Running?: unknown } | undefined)?.Running !== true) throw new Error(`container ${id} does not run`)
  return {
    labels: Object.fromEntries(Object.entries(configuration.Labels ?? {}).filter(([, value]) => isText(value))),
    environment: (Array.isArray(configuration.Env) ? configuration.Env : []).filter(isText),
    imageName: isText(configuration.Image) ? configuration.Image : '',
    imageDigest: isText(Image) ? Image : '',
  }
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}
