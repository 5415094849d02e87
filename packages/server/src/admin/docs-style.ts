/** The whole look of the docs page. Its hash is what the page's policy lets in. */
export const style = `
:root { color-scheme: light dark; --line: #d9dde3; --soft: #f4f6f8; --dim: #5b6673; --ink: #17202a; --page: #fff; --mark: #0b5cad; --must: #b3202e }
@media (prefers-color-scheme: dark) {
  :root { --line: #333b45; --soft: #1d232a; --dim: #9aa6b3; --ink: #e6eaee; --page: #14181d; --mark: #74b3f2; --must: #ff8f98 }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1.5rem 6rem; background: var(--page); color: var(--ink);
  font: 1rem/1.55 system-ui, sans-serif; display: grid; grid-template-columns: 13rem minmax(0, 1fr); gap: 0 3rem }
header { grid-column: 1 / -1; max-width: 46rem; margin-bottom: 2rem }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem }
h2 { font-size: 1.35rem; margin: 0 0 1rem; padding-bottom: .4rem; border-bottom: 1px solid var(--line) }
h3 { font-size: 1rem; font-weight: 600; margin: 0 0 .3rem; overflow-wrap: anywhere }
p { margin: .4rem 0 }
a { color: var(--mark) }
code { font: .9em ui-monospace, SFMono-Regular, Consolas, monospace }
nav { position: sticky; top: 1.5rem; align-self: start }
nav ul { list-style: none; margin: 0; padding: 0 }
nav li { padding: .2rem 0 }
nav a { text-decoration: none }
nav a:hover { text-decoration: underline }
nav span { color: var(--dim); font-size: .8rem }
section { margin-bottom: 3rem; scroll-margin-top: 1rem }
article { margin-bottom: 1.25rem; padding: 1rem 1.2rem; border: 1px solid var(--line); border-radius: .5rem }
.method { display: inline-block; min-width: 4.2rem; padding: .05rem .5rem; border-radius: .3rem; color: #fff; background: #52606d;
  font: 600 .75rem/1.6 ui-monospace, Consolas, monospace; text-align: center }
.get { background: #1f6feb } .post { background: #1a7f37 } .put, .patch { background: #9a6700 } .delete { background: #c22f3d }
.scope { padding: .05rem .45rem; border: 1px solid var(--line); border-radius: 1rem; color: var(--dim); font: .8rem ui-monospace, Consolas, monospace; white-space: nowrap }
.more { color: var(--dim) }
.answer { color: var(--dim); font-size: .9rem }
table { width: 100%; margin: .7rem 0; border-collapse: collapse; font-size: .88rem }
caption { text-align: left; font-weight: 600; padding: .2rem 0 }
th, td { padding: .35rem .6rem; border-top: 1px solid var(--line); text-align: left; vertical-align: top; overflow-wrap: anywhere }
th { width: 30%; font-weight: 400 } td:nth-child(2) { width: 25%; color: var(--dim) }
th i { display: block; color: var(--must); font-size: .75rem; font-style: normal }
details { background: var(--soft); border-radius: .4rem; padding: .3rem .8rem }
summary { cursor: pointer; font-size: .9rem }
@media (max-width: 46rem) { body { display: block; padding: 1.2rem 1rem 4rem } nav { position: static; margin-bottom: 2rem } nav li { display: inline-block; margin-right: 1rem }
  article { padding: .8rem } th { width: 38%; padding-left: 0 } }
`
