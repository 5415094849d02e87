import { agentSettings } from '@countersign/agent'

/** Every setting of the agent, from the table that reads them. */
export function agentSettingsReference(): string {
  const rows = agentSettings.map(
    ({ name, description, byDefault }) => `| \`${name}\` | ${byDefault ? `\`${byDefault}\`` : ''} | ${description} |`,
  )
  return `${introduction}\n${['| setting | default | |', '|---|---|---|', ...rows].join('\n')}\n`
}

const introduction = `# Settings of the agent

Made from the source by \`npm run fix\`.

In a YAML file (\`countersign agent --config FILE\`), where \`a.b\` is \`b\` below \`a\`; in the environment, where \`a.b_c\` is
\`COUNTERSIGN_AGENT_A_B_C\`, and with \`_FILE\` at the end the value is read from that file; or as an option, if
\`countersign agent --help\` has it. The environment wins over the file, options over both. A setting that is unknown,
malformed or unsafe is refused with its place.
`
