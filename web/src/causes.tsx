import { age, cause, clock, count, meaning, percent, some, verdictTitle } from './format'
import type { Cause, Verdict } from './shapes'
import { controllerAddress, now, overview } from './state'

export function Causes() {
  const o = overview.value
  if (o === null) return null
  return (
    <section aria-labelledby="causes">
      <h2 id="causes">Causes</h2>
      {o.causes.length === 0
        ? <None quiet={o.late + o.silent} />
        : <ol class="causes">{o.causes.map((c) => <Item key={`${c.verdict} ${c.scope} ${c.name}`} cause={c} />)}</ol>}
    </section>
  )
}

// None tells apart that nothing is wrong and that nothing is known yet.
function None({ quiet }: { quiet: number }) {
  if (quiet === 0) return <p class="calm">Nothing is wrong as far as the gateway can tell.</p>
  return <p class="warn">{quiet === 1 ? 'A controller is' : `${count(quiet)} controllers are`} late or silent, and the cause is not known yet. It is judged again all the time.</p>
}

// place names what a fault takes.
export function place(v: Verdict): string {
  if (v.scope === undefined || v.scope === 'gateway') return 'this gateway'
  const name = v.name ?? ''
  if (v.scope === 'controller') return name
  return name.toLowerCase().startsWith(v.scope) ? name : `${v.scope} ${name}`.trim()
}

function Item({ cause: c }: { cause: Cause }) {
  return (
    <li class={`cause ${c.verdict}`}>
      <h3>{place(c)}<span class="place">{verdictTitle(c)}</span></h3>
      <p class="hint">{meaning(c.verdict)}</p>
      <p>
        {some(c.count, 'controller')}
        <Since of={c} />
        {' · '}<span class="whole">{percent(c.confidence)} sure</span>
        {' · '}{c.missing === 0 ? 'nothing lost as far as numbers tell' : `${some(c.missing, 'report')} missing now: what a controller kept still comes`}
      </p>
      <Why of={c} />
      <Advice of={c} />
      <details>
        <summary>All evidence, and who is in trouble</summary>
        {c.count > 1 && <p class="hint">{best}:</p>}
        <Evidence of={c} />
        <p class="names">
          {c.controllers.map((name) => <a key={name} href={controllerAddress(name)}>{name}</a>)}
          {c.count > c.controllers.length && <span>and {count(c.count - c.controllers.length)} more</span>}
        </p>
      </details>
    </li>
  )
}

// The evidence is that of the controller of which the gateway is surest.
const best = 'At the controller that shows it best'

function Why({ of: c }: { of: Cause }) {
  const why = (c.evidence_for ?? []).slice(0, 2).join('; ')
  if (why === '') return null
  return <p><b>Why:</b> {c.count > 1 && `${best.toLowerCase()}, `}{why}</p>
}

export function Since({ of: v }: { of: Verdict }) {
  if (v.since === undefined) return null
  const since = Date.parse(v.since)
  return <>{' · for '}{age((now.value - since) / 1000)}, since {clock(since, now.value)}</>
}

export function Advice({ of: v }: { of: Verdict }) {
  return (
    <>
      {v.next !== undefined && <p><b>Next:</b> {v.next}</p>}
      {v.send !== undefined && <p><b>Send:</b> {v.send}</p>}
    </>
  )
}

export function Evidence({ of: v }: { of: Verdict }) {
  return (
    <div class="evidence">
      <Sentences title="For it" all={v.evidence_for} />
      <Sentences title="Against it" all={v.evidence_against} />
      <Sentences title="Not known" all={v.evidence_missing} />
      {v.second !== undefined && <p>If not, then most likely: {cause(v.second).toLowerCase()}.</p>}
    </div>
  )
}

function Sentences({ title, all }: { title: string; all: string[] | undefined }) {
  if (all === undefined || all.length === 0) return null
  return (
    <>
      <h4>{title}</h4>
      <ul>{all.map((s) => <li key={s}>{s}</li>)}</ul>
    </>
  )
}
