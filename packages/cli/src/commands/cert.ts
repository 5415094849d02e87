import { type Command, Option } from 'commander'
import { wrongUse } from '../cli-error.ts'
import { durationOption, group, repeated, type ServerOptions, serverLeaf } from '../command.ts'

export function certCommands(program: Command, description: string): void {
  const cert = group(program, 'cert', description)

  serverLeaf(
    cert,
    'issue',
    'issue a certificate to files, and with --renew keep them fresh',
    "countersign cert issue --dns-name orders.internal --out /etc/orders/tls --renew --reload 'systemctl reload nginx'",
  )
    .option('--dns-name <name>', 'a name it is good for (repeat)', repeated)
    .option('--ip <address>', 'an address it is good for (repeat)', repeated)
    .option('--common-name <name>', 'in its subject, for clients that are told apart by it')
    .addOption(
      new Option('--usage <usage>', 'for which end of a connection')
        .choices(['server', 'client', 'both'])
        .default('both'),
    )
    .option('--ttl <duration>', 'how long it lives (default: 1d)', durationOption)
    .requiredOption('--out <folder>', 'gets cert.pem, key.pem (mode 0600) and ca.pem')
    .option('--renew', 'stay, and renew it at half of its life')
    .option('--reload <command>', 'run this in a shell after each renewal')
    .action(issue)
}

export interface IssueOptions extends ServerOptions {
  dnsName?: string[]
  ip?: string[]
  commonName?: string
  usage: 'server' | 'client' | 'both'
  ttl?: number
  out: string
  renew?: boolean
  reload?: string
}

async function issue(options: IssueOptions): Promise<void> {
  if (!options.dnsName && !options.ip && !options.commonName) {
    throw wrongUse(
      'name what the certificate is for: --dns-name orders.internal, --ip 10.0.0.7 or --common-name orders',
    )
  }
  if (options.reload !== undefined && !options.renew) {
    throw wrongUse('--reload is run after renewals; add --renew')
  }
  const { issueCertificate } = await import('../workload/issue-certificate.ts')
  await issueCertificate(options)
}
