import { readFileSync } from 'node:fs'
import type { Logger } from 'pino'
import { fileVersion } from '../http/tls.ts'

export interface FollowedFileOptions<Content> {
  /** Names the file in what is told, such as `mtls.client_ca_file` */
  setting: string
  file: string
  /** Throws an Error with a sentence for a content that will not do */
  read: (text: string) => Content
  logger: Pick<Logger, 'info' | 'error'>
  /** Default 5 s */
  lookMilliseconds?: number
}

/**
 * What a file of the configuration holds, read again once it has changed; looked at when it is asked for, not more often
 * than every few seconds. A change that cannot be used leaves what was there, and is told once.
 * @throws Error with a sentence when the file cannot be used at first
 */
export function followedFile<Content>(options: FollowedFileOptions<Content>): () => Content {
  const { setting, file, logger, lookMilliseconds = 5_000 } = options
  let version = fileVersion(file)
  let content = readNow(options)
  let lookAgainAt = performance.now() + lookMilliseconds
  return () => {
    if (performance.now() < lookAgainAt) return content
    lookAgainAt = performance.now() + lookMilliseconds
    const found = fileVersion(file)
    if (found === version) return content
    version = found
    try {
      content = readNow(options)
      logger.info(`${setting}: ${file} has changed and was read again`)
    } catch (error) {
      logger.error(`${(error as Error).message}; what it held before stays in force`)
    }
    return content
  }
}

function readNow<Content>({ setting, file, read }: FollowedFileOptions<Content>): Content {
  try {
    return read(readFileSync(file, 'utf8'))
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    const reason = isMissing ? 'there is no such file' : (error as Error).message
    throw new Error(`${setting}: ${file} cannot be used: ${reason}`, { cause: error })
  }
}
