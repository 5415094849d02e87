// Holds the arrows between packages to those of docs/architecture.md: a package may use what stands to its left.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './modern-node.js'

const ranks = [
  ['tokens'],
  ['outbound', 'limits'],
  ['spiffe'],
  ['client', 'guard'],
  ['server', 'agent', 'service', 'gateway'],
  ['cli'],
]

const problems = []
for (const folder of readdirSync(join(root, 'packages'))) {
  const manifest = JSON.parse(readFileSync(join(root, 'packages', folder, 'package.json'), 'utf8'))
  const declared = new Set(Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }))
  const declaredForTests = new Set([...declared, ...Object.keys(manifest.devDependencies ?? {})])
  for (const file of sources(join(root, 'packages', folder, 'src'))) {
    const isTest = /\.(test|fixture)\.ts$/.test(file)
    for (const specifier of importsOf(readFileSync(file, 'utf8'))) {
      const place = file.slice(root.length + 1)
      if (specifier.startsWith('.')) {
        if (
          !isTest &&
          join(file, '..', specifier).includes('/packages/') &&
          !join(file, '..', specifier).includes(`/packages/${folder}/`)
        ) {
          problems.push(`${place} reaches into another package by path: ${specifier}`)
        }
        continue
      }
      if (specifier.startsWith('node:') || specifier === 'vitest' || specifier === 'fast-check') continue
      const name = specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/')
      if (!(isTest ? declaredForTests : declared).has(name) && name !== manifest.name) {
        problems.push(`${place} imports ${name}, which packages/${folder}/package.json does not declare`)
      }
      if (
        !isTest &&
        name.startsWith('@countersign/') &&
        name !== manifest.name &&
        !mayUse(folder, name.slice('@countersign/'.length))
      ) {
        problems.push(`${place} imports ${name}: that arrow points the wrong way`)
      }
    }
  }
}
for (const problem of problems) console.log(problem)
process.exit(problems.length === 0 ? 0 : 1)

function mayUse(user, used) {
  const rank = (name) => ranks.findIndex((names) => names.includes(name))
  return rank(used) !== -1 && rank(used) < rank(user)
}

function sources(folder) {
  return readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name))
}

function importsOf(text) {
  return [
    ...text.matchAll(/^(?:import|export)\b[^'"]*?from\s+'([^']+)'|^import\s+'([^']+)'|\bimport\('([^']+)'\)/gm),
  ].map((match) => match[1] ?? match[2] ?? match[3])
}
