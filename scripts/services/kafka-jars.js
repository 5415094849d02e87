// Finds what a Kafka broker is made of, or gets it: Java and Maven from apt, the jars by Maven into a cache folder.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../modern-node.js'
import { exists, installSystemPackages } from './system-packages.js'

const kafkaVersion = '4.4.0'
const oldestJava = 17
const cache = join(root, 'node_modules', '.cache')

const artifacts = [
  { group: 'org.apache.kafka', name: 'kafka_2.13', version: kafkaVersion },
  // Without it the broker says nothing, not even why it ends.
  { group: 'org.slf4j', name: 'slf4j-simple', version: '1.7.36' },
]

/**
 * Blocks while it fetches, which is once in the life of node_modules.
 * @returns {{ classPath: string, formatted: string } | undefined} `formatted`: the files of a storage folder in which no
 *   broker has run yet, to be copied; undefined when they cannot be had, and then it has said why
 */
export function kafkaJars(say) {
  const folder = join(cache, `kafka-${kafkaVersion}`)
  if (javaVersion() < oldestJava) installSystemPackages(['openjdk-17-jre-headless'], say)
  if (javaVersion() < oldestJava) installSystemPackages(['default-jre-headless'], say)
  if (javaVersion() < oldestJava) {
    say(`no Kafka: it needs Java ${oldestJava} or later on the PATH`)
    return undefined
  }
  if (!existsSync(folder) && !fetched(folder, say)) return undefined
  return { classPath: join(folder, 'lib', '*'), formatted: join(folder, 'formatted') }
}

function javaVersion() {
  if (!exists('java')) return 0
  const { stderr } = spawnSync('java', ['-version'], { encoding: 'utf8' })
  return Number(/version "(\d+)/.exec(stderr)?.[1] ?? 0)
}

/** Everything goes into a folder beside it first, so that an interrupted fetch leaves no half of a broker. */
function fetched(folder, say) {
  if (!exists('mvn') && !installSystemPackages(['maven'], say)) {
    say('no Kafka: Maven (mvn) is needed once, to fetch it')
    return false
  }
  mkdirSync(cache, { recursive: true })
  const draft = mkdtempSync(join(cache, 'kafka-draft-'))
  try {
    say(`fetching Kafka ${kafkaVersion} with Maven (43 MB, once) ...`)
    writeFileSync(join(draft, 'pom.xml'), pom())
    const words = ['-q', '-B', '-f', join(draft, 'pom.xml'), 'dependency:copy-dependencies', '-DincludeScope=runtime']
    succeed('mvn', [...words, `-DoutputDirectory=${join(draft, 'lib')}`])
    writeFileSync(join(draft, 'format.properties'), formatSettings(join(draft, 'formatted')))
    const format = ['kafka.tools.StorageTool', 'format', '-t', 'Y291bnRlcnNpZ250ZXN0cw', '-c']
    succeed('java', ['-cp', join(draft, 'lib', '*'), ...format, join(draft, 'format.properties')])
    if (!existsSync(folder)) renameSync(draft, folder)
    return true
  } catch (error) {
    say(`no Kafka: ${error.message}`)
    return false
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
}

function pom() {
  const dependencies = artifacts.map(
    ({ group, name, version }) =>
      `<dependency><groupId>${group}</groupId><artifactId>${name}</artifactId><version>${version}</version></dependency>`,
  )
  return `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>local</groupId><artifactId>kafka-broker</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>${dependencies.join('\n')}</dependencies></project>\n`
}

/** Ports do not matter here; the node's number does, and it is the same in kafka.js. */
function formatSettings(data) {
  return `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:9093
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093
log.dirs=${data}\n`
}

function succeed(program, words) {
  const { status, stdout, stderr } = spawnSync(program, words, { encoding: 'utf8' })
  if (status === 0) return
  const said = `${stdout}${stderr}`.trim().split('\n').slice(-3).join(' ')
  throw new Error(`${program} failed (${status}): ${said}`)
}
