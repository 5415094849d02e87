// `npm run example [-- attacks]`: a Kafka broker, the authority and three services, and what they verify of each other.
// `npm run example -- workload`: two services without a secret; no broker.
import { spawn } from 'node:child_process'
import { installDependencies } from './install.js'
import { modernNode, root, sourceFlags } from './modern-node.js'
import { startKafka } from './services/kafka.js'
import { kafkaJars } from './services/kafka-jars.js'
import { closeServicesFolder, openServicesFolder } from './services/services-folder.js'

installDependencies()
const folder = openServicesFolder()
process.on('exit', () => closeServicesFolder(folder))
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1))

const environment = { ...process.env }
const [wanted, ...rest] = process.argv.slice(2)
const words = wanted === 'workload' ? ['workload/main.ts', ...rest] : ['shop/main.ts', ...process.argv.slice(2)]
if (wanted !== 'workload' && !environment.KAFKA_BROKERS) {
  const jars = kafkaJars((text) => console.error(text))
  if (!jars) process.exit(1)
  console.error('Starting a Kafka broker ...')
  environment.KAFKA_BROKERS = (await startKafka({ jars })).brokers
}
words[0] = `${root}/examples/${words[0]}`
const child = spawn(modernNode(), [...sourceFlags, ...words], { stdio: 'inherit', env: environment })
process.on('exit', () => child.kill())
child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)))
