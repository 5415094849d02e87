import { setTimeout } from 'node:timers/promises'
import { ownFolder } from '../shop/own-folder.ts'
import { type Authority, startAuthority } from './authority.ts'
import { type Copy, callWithCopy } from './copy.ts'
import { type Shop, startShop } from './shop.ts'

const seconds = Number(process.argv[2] ?? 60)
if (!Number.isInteger(seconds) || seconds < 15) {
  console.error('How many seconds of load? 15 or more: npm run example -- workload 60')
  process.exit(2)
}
const folder = ownFolder('countersign-workload-')
let authority: Authority | undefined
let shop: Shop | undefined
try {
  console.log('Starting the authority and the agent of this machine ...\n')
  authority = await startAuthority(folder)
  console.log(`  ✓ the agent proved itself by a join token, once: ${authority.node}`)
  shop = await startShop(folder, authority)
  for (const { name, path } of shop.entries) {
    console.log(`  ✓ ${`unix:path:${path}`} is spiffe://shop.example/${name}, for 20 seconds at a time`)
  }
  const isWhole = (await load(shop)) && (await stranger(shop)) && (await end(shop, authority))
  process.exitCode = isWhole ? 0 : 1
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
} finally {
  await shop?.stop()
  await authority?.stop()
}

/** Calls without pause while certificates rotate: not one may fail. */
async function load({ order, inventory }: Shop): Promise<boolean> {
  console.log(`\norder calls inventory without pause, every call a new mutual TLS handshake, for ${seconds} seconds`)
  const rotations = (program: typeof order) => program.lines.filter(({ msg }) => msg === 'rotated').length
  const counted = () =>
    order.lines.findLast(({ msg }) => msg === 'calls') as { calls: number; failed: number } | undefined
  for (const end = Date.now() + seconds * 1000; Date.now() < end && !order.hasEnded; await setTimeout(500)) {
    if (process.stdout.isTTY) process.stdout.write(`\r  ${counted()?.calls ?? 0} calls, ${rotations(order)} rotations `)
  }
  if (process.stdout.isTTY) process.stdout.write('\r\x1b[K')
  const { calls = 0, failed = 0 } = counted() ?? {}
  const isWhole = calls > 0 && failed === 0 && rotations(order) > 0 && rotations(inventory) > 0
  console.log(
    `  ${sign(isWhole)} ${calls} calls, ${failed} failed, while order's certificate rotated ${rotations(order)} times and inventory's ${rotations(inventory)} times`,
  )
  if (failed > 0) console.log(`      the first: ${order.lines.find(({ msg }) => msg === 'failed')?.why}`)
  return isWhole
}

/** The same user, another program. */
async function stranger(shop: Shop): Promise<boolean> {
  const answer = await shop.askAsStranger()
  const isRefused = answer.includes('no identity')
  console.log(`  ${sign(isRefused)} another program of the same user asks for an identity: ${answer}`)
  return isRefused
}

/** A copied key outlives its process by seconds, whatever its certificate says. */
async function end({ order, url }: Shop, { countersign, agent }: Authority): Promise<boolean> {
  const [entry] = (
    await countersign<{ items: { id: string }[] }>('workload', 'list', '--spiffe-id', 'spiffe://shop.example/order')
  ).items
  await countersign('workload', 'update', entry!.id, '--ttl', '1h')
  const inHalfAnHour = Date.now() / 1000 + 1800
  await order.line(({ msg, expiresAt }) => msg === 'rotated' && (expiresAt as number) > inHalfAnHour)
  order.signal('SIGUSR2')
  const copy = (await order.line(({ msg }) => msg === 'copied')) as unknown as Copy
  const before = await callWithCopy(url, copy)
  console.log(`\nSomebody has copied order's key; its certificate is good for an hour now`)
  console.log(`  ${sign(before.status === 200)} with the copy inventory can be called from anywhere: ${before.status}`)
  await order.stop('SIGKILL')
  console.log('  ✓ order is killed')
  await agent.line(({ msg }) => msg === 'an identity ended')
  const after = await refused(url, copy)
  console.log('  ✓ 5 seconds of grace later the agent drops the identity and tells the authority')
  console.log(`  ${sign(after !== undefined)} the copy is refused: ${after ?? 'it still passes'}`)
  return before.status === 200 && after !== undefined
}

/** What the copy is told, once it is refused; for as long as the revocation may travel. */
async function refused(url: string, copy: Copy): Promise<string | undefined> {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; await setTimeout(100)) {
    const answer = await callWithCopy(url, copy)
    if (answer.status !== 200) return `${answer.status} ${answer.body}`
  }
  return undefined
}

function sign(isGood: boolean): string {
  return isGood ? '✓' : '✗'
}
