import type { Command } from 'commander'
import { wrongUse } from '../cli-error.ts'
import { group, leaf, repeated } from '../command.ts'
import type { OutputOptions } from '../output.ts'

export interface SvidOptions extends OutputOptions {
  socket?: string
}

export function svidCommands(program: Command, description: string): void {
  const svid = group(program, 'svid', description)

  const fetch = group(svid, 'fetch', 'get what this process is entitled to, once')

  withSocket(
    leaf(
      fetch,
      'x509',
      'get the X.509-SVIDs and trust bundles',
      'countersign svid fetch x509 --write /run/order/identity',
    ),
  )
    .option('--write <folder>', 'write svid.pem, svid.key (mode 0600) and bundle.pem there')
    .action(async (options: SvidOptions & { write?: string }) => {
      const { fetchX509 } = await import('../workload/fetch-svid.ts')
      await fetchX509(options)
    })

  withSocket(
    leaf(
      fetch,
      'jwt',
      'get a JWT-SVID and print it',
      'countersign svid fetch jwt --audience https://orders.example.com',
    ),
  )
    .requiredOption('--audience <audience>', 'whom it is for (repeat)', repeated)
    .option('--spiffe-id <id>', 'as which of the identities this process has')
    .action(async (options: SvidOptions & { audience: string[]; spiffeId?: string }) => {
      const { fetchJwt } = await import('../workload/fetch-svid.ts')
      await fetchJwt(options)
    })

  withSocket(
    leaf(
      svid,
      'watch',
      'follow the X.509-SVIDs through their rotations, and keep files fresh',
      "countersign svid watch --write /run/order/identity --reload 'systemctl reload order'",
    ),
  )
    .option('--write <folder>', 'keep svid.pem, svid.key (mode 0600) and bundle.pem there')
    .option('--reload <command>', 'run this in a shell after each rotation')
    .action(async (options: SvidOptions & { write?: string; reload?: string }) => {
      if (options.reload !== undefined && options.write === undefined) {
        throw wrongUse('--reload is run after files have changed; add --write FOLDER')
      }
      const { watchX509 } = await import('../workload/watch-svid.ts')
      await watchX509(options)
    })
}

function withSocket(command: Command): Command {
  return command.option(
    '--socket <socket>',
    'any Workload API: unix:///… or tcp://…; also SPIFFE_ENDPOINT_SOCKET (default: unix:///run/countersign/agent.sock)',
  )
}
