// A Kafka broker of one's own (KRaft, one node): a fresh folder, free ports, no authentication.
// `node scripts/services/kafka.js` starts one alone, prints KAFKA_BROKERS=..., and stops it on Ctrl-C.
import { spawn } from 'node:child_process'
import { cpSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { freePort } from './free-port.js'
import { kafkaJars } from './kafka-jars.js'
import { removeFolder } from './remove-folder.js'
import { closeServicesFolder, openServicesFolder, serviceFolder } from './services-folder.js'

// A short-lived server on few processors: little memory, and no second compiler that would take the tests' time.
const java = ['-Xmx384m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto']

/**
 * @param jars what kafka-jars.js has found
 * @returns {Promise<{ brokers: string, start(): Promise<void>, crash(): void, stop(): void }>} `crash` is kill -9, and
 *   `start` after it continues with what was written; `stop` also removes the folder
 */
export async function startKafka({ jars }) {
  const folder = serviceFolder('kafka')
  const [port, controllerPort] = [await freePort(), await freePort()]
  const settings = join(folder, 'server.properties')
  const log = join(folder, 'server.log')
  cpSync(jars.formatted, join(folder, 'data'), { recursive: true })
  writeFileSync(settings, properties(folder, port, controllerPort))
  let child
  const server = {
    brokers: `127.0.0.1:${port}`,
    async start() {
      const words = [...java, '-cp', jars.classPath, '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', 'kafka.Kafka']
      const output = openSync(log, 'a')
      // A group of its own: Ctrl-C at the terminal is for the tests, which still need it while they end.
      child = spawn('java', [...words, settings], { stdio: ['ignore', output, output], detached: true, cwd: folder })
      child.unref()
      writeFileSync(join(folder, 'kafka.pid'), String(child.pid))
      await answers(port, child, log)
    },
    crash() {
      if (child?.exitCode === null && child.signalCode === null) process.kill(child.pid, 'SIGKILL')
      child = undefined
    },
    stop() {
      server.crash()
      removeFolder(folder)
    },
  }
  try {
    await server.start()
  } catch (error) {
    server.stop()
    throw error
  }
  return server
}

/** Single-partition internal topics and no delay for late members: a group is ready in milliseconds. */
function properties(folder, port, controllerPort) {
  return `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${controllerPort}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=${join(folder, 'data')}
num.partitions=1
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.dedupe.buffer.size=2097152
log.cleaner.backoff.ms=200\n`
}

async function answers(port, child, log) {
  for (const deadline = Date.now() + 90_000; ; ) {
    if (await connects(port)) return
    const ended = child.exitCode !== null || child.signalCode !== null
    if (ended || Date.now() > deadline) {
      const said = readFileSync(log, 'utf8').trim().split('\n').slice(-5).join('\n')
      throw new Error(`Kafka ${ended ? 'ended at once' : `does not listen on port ${port} after 90 s`}: ${said}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function connects(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => socket.end(() => resolve(true)))
    socket.on('error', () => resolve(false))
  })
}

if (import.meta.main ?? process.argv[1] === import.meta.filename) {
  const folder = openServicesFolder()
  process.on('exit', () => closeServicesFolder(folder))
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit())
  const jars = kafkaJars((text) => console.error(text))
  if (!jars) process.exit(1)
  console.log(`KAFKA_BROKERS=${(await startKafka({ jars })).brokers}`)
  setInterval(() => {}, 60_000)
}
