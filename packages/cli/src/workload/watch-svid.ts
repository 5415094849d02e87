import { createWorkloadApi, type X509Context } from '@countersign/spiffe/workload-api'
import type { SvidOptions } from '../commands/svid.ts'
import { note } from '../output.ts'
import { runReloadHook } from './certificate-files.ts'
import { printX509 } from './fetch-svid.ts'
import { writeSvidFiles } from './svid-files.ts'
import { untilSignal } from './until-signal.ts'

/** Prints every rotation until a signal ends it, and keeps files fresh where a folder is named. */
export async function watchX509(options: SvidOptions & { write?: string; reload?: string }): Promise<void> {
  const { ended } = untilSignal()
  const api = createWorkloadApi({ socket: options.socket })
  let handled = Promise.resolve()
  let told = ''
  const stopWatching = api.watchX509Context(
    (context) => {
      told = ''
      // One rotation after another: a slow hook must not be overtaken by the files of the next.
      handled = handled.then(() => rotated(context, options)).catch((error: Error) => note(error.message))
    },
    (error) => {
      // The stream is opened again and again; each fault is told once.
      if (error.message !== told) note(`${error.message}; trying again`)
      told = error.message
    },
  )
  await ended
  stopWatching()
  api.close()
  await handled
}

async function rotated(
  context: X509Context,
  options: SvidOptions & { write?: string; reload?: string },
): Promise<void> {
  if (options.write !== undefined) await writeSvidFiles(options.write, context)
  printX509(context, options)
  const fault = options.reload === undefined ? undefined : await runReloadHook(options.reload)
  if (fault !== undefined) note(`${fault}; the new files are in place`)
}
