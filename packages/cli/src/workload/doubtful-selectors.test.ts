import { expect, it } from 'vitest'
import { doubtfulSelectors } from './doubtful-selectors.ts'

it.each([
  [['unix:sha:1'], /^no process has unix:sha; there are uid, /],
  [['unix:uid:root'], /unix:uid is a number; by name it is unix:user$/],
  [['unix:supplementary_gid:adm'], /by name it is unix:supplementary_group$/],
  [['unix:sha256:ABCD'], /64 lower-case hex digits/],
  [['unix:uid:1', 'unix:uid:2'], /a process has one unix:uid, and this entry demands two/],
])('tells of selectors that fit nothing: %j', (selectors, doubt) => {
  expect(doubtfulSelectors(selectors)).toEqual([expect.stringMatching(doubt)])
})

it('has nothing to say of what can be seen, nor of what others attest', () => {
  const fine = [
    'unix:uid:0',
    'unix:path:/a:b',
    'docker:label:a:b',
    'docker:label:c:d',
    'k8s:ns:shop',
    'aws_iid:tag:x:y',
  ]
  expect(doubtfulSelectors([...fine, `unix:sha256:${'0a'.repeat(32)}`])).toEqual([])
})
