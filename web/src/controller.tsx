// All of one controller: where its reports are delayed, what its points say, and
// what its link is like.

import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { Advice, Evidence, place, Since } from './causes'
import { PulseMark } from './fleet'
import { age, bytes, clock, count, eventName, exact, length, level, meaning, percent, quality, some, value, verdictTitle } from './format'
import { PlotPanel, Trend } from './plot'
import type { Counts, Detail, Link, LinkSignal, Sample } from './shapes'
import { detail, link, now, values } from './state'

export function Controller({ name }: { name: string }) {
  const d = detail.value
  if (d === null || d.unknown === true) {
    return (
      <>
        <Title name={name} />
        <p role="status">{d === null ? 'Looking …' : 'There is no controller of this name, or it has not been looked at yet.'}</p>
      </>
    )
  }
  return (
    <>
      <Title name={name} detail={d} />
      <Verdict of={d} />
      <Hops of={d} />
      <Points name={name} of={d} />
      <div class="panels">
        <Signals of={d} />
        <Counters of={d} />
        <Gaps of={d} />
      </div>
      <BadFrames />
    </>
  )
}

function Section({ id, title, children }: { id: string; title: string; children: ComponentChildren }) {
  return <section class="panel" aria-labelledby={id}><h2 id={id}>{title}</h2>{children}</section>
}

const lastSeen = (d: Detail) => (d.last_seen === undefined ? 0 : Date.parse(d.last_seen))

function Title({ name, detail: d }: { name: string; detail?: Detail }) {
  const where = d === undefined ? [] : [d.site, d.line, d.source, d.link_type].filter((s) => s !== undefined && s !== '')
  return (
    <div>
      <a href="#/">All controllers</a>
      <h1 class="line">{name} {d !== undefined && <PulseMark pulse={d.pulse} seen={lastSeen(d)} />}</h1>
      <p class="hint">
        {where.join(' · ')}
        {link.value?.peer !== undefined && ` · speaks from ${link.value.peer}`}
        {d?.usual_interval !== undefined && ` · usually a report each ${length(d.usual_interval)}`}
      </p>
    </div>
  )
}

function Verdict({ of: d }: { of: Detail }) {
  const well = d.verdict === 'ok'
  return (
    <section class={well ? 'verdict' : 'verdict ill'} aria-labelledby="verdict">
      <h2 id="verdict">{verdictTitle(d)}</h2>
      {!well && <p class="hint">{meaning(d.verdict)}</p>}
      {!well && <p>{percent(d.confidence)} sure<Since of={d} />{d.scope !== undefined && d.scope !== 'controller' && ` · takes all of ${place(d)}`}</p>}
      <Advice of={d} />
      <Evidence of={d} />
    </section>
  )
}

// Hops shows where the report that was stored last spent its time.
function Hops({ of: d }: { of: Detail }) {
  const r = d.last_report
  if (r === undefined) return null
  const [source, received, accepted, stored] = [r.source, r.received, r.accepted, r.stored].map(exact)
  const between = (from: number | undefined, to: number | undefined) => (to ?? NaN) - (from ?? NaN)
  return (
    <Section id="hops" title="Way of the last report">
      <ol class="hops">
        <Hop name="Controller" note={r.source === undefined ? 'gave no time' : `by its clock ${clock(source! * 1000, now.value)}`} />
        <LinkHop of={d} />
        <Hop name="Received" delay={between(source, received)} says="link and clock" note={clock(received! * 1000, now.value)} />
        <Hop name="Accepted" delay={between(received, accepted)} says="gateway" note="on this node's disk" />
        <Hop name="Stored" delay={between(accepted, stored)} says="store" note="in the record" />
      </ol>
      <p class="hint">
        Report {r.identity}, {age(now.value / 1000 - stored!)} ago.
        {d.clock !== undefined && ` Its fastest report took ${length(d.clock.least_age)} by its own clock; now they take ${length(d.clock.delay)} longer.`}
        {d.clock !== undefined && d.clock.stepped !== 0 && <b class="trouble"> Its clock stepped by {length(d.clock.stepped)}.</b>}
      </p>
    </Section>
  )
}

// LinkHop is the stretch that the gateway sees only from its end: a radio, a fibre or
// a line, by what it tells of itself. A controller that tells nothing has none.
function LinkHop({ of: d }: { of: Detail }) {
  const signals = d.signals ?? []
  if (signals.length === 0 && d.line === undefined) return null
  const optical = signals.some((s) => s.quantity === 'optical_power' || s.quantity === 'attenuation')
  const name = signals.length === 0 ? 'Line' : optical ? 'Fibre' : 'Radio'
  const all = d.now.frames + d.now.damaged
  return (
    <li class={signals.some(poor) || d.now.damaged > 0 ? 'poor' : ''}>
      <b>{name}</b>
      {signals.map((s) => (
        <small key={s.quantity} class={poor(s) ? 'trouble' : ''}>
          {eventName(s.quantity)} {level(s.value)} {s.unit}{s.usual !== undefined && poor(s) && `, usually ${level(s.usual)}`}<Told at={s.time} />
        </small>
      ))}
      {all > 0 && (
        <small class={d.now.damaged > 0 ? 'trouble' : ''}>{d.now.damaged > 0 ? `${count(d.now.damaged)} of ${count(all)} frames damaged` : 'no frame damaged'}</small>
      )}
    </li>
  )
}

// Told says how old a signal is that is not of now.
function Told({ at }: { at: string }) {
  const old = (now.value - Date.parse(at)) / 1000
  return old > fresh ? <>, {age(old)} ago</> : null
}

const fresh = 60 // seconds

// poor tells whether a signal is worse than is needed, or far below what is usual.
function poor(s: LinkSignal): boolean {
  const sense = s.quantity === 'attenuation' ? -1 : 1
  return (s.limit - s.value) * sense > 0 || s.usual !== undefined && (s.usual - s.value) * sense >= farBelow
}

const farBelow = 6 // dB, as the gateway has it unless it is told otherwise

function Hop({ name, delay, says, note }: { name: string; delay?: number; says?: string; note: string }) {
  return (
    <li>
      {delay !== undefined && <span class={`delay ${delay >= 1 ? 'slow' : ''}`}>{Number.isNaN(delay) ? 'not known' : length(delay)}<small>{says}</small></span>}
      <b>{name}</b><small>{note}</small>
    </li>
  )
}

const plottable = (s: Sample) => s.kind !== 'text'

function Points({ name, of: d }: { name: string; of: Detail }) {
  const chosen = useSignal<string | null>(null)
  const all = values.value
  if (all === null) return null
  if (all.length === 0) return <Section id="points" title="Points"><p class="hint">Nothing is stored of it yet.</p></Section>
  const point = all.find((s) => s.point === chosen.value) ?? all.find(plottable)
  const stale = d.pulse !== 'reporting'
  return (
    <Section id="points" title="Points">
      {stale && <p class="trouble">It does not report: these values are old.</p>}
      <div class="scroll" tabIndex={0} role="region" aria-label="Newest values">
        <table class="points">
          <thead><tr><th scope="col">Point</th><th scope="col">Value</th><th scope="col">Status</th><th scope="col">Age</th></tr></thead>
          <tbody>
            {all.map((s) => (
              <tr key={s.point} class={stale ? 'old' : ''}>
                <th scope="row">
                  {plottable(s)
                    ? <button type="button" class="plain" aria-pressed={s === point} onClick={() => { chosen.value = s.point }}>{s.point}</button>
                    : s.point}
                </th>
                <td>{value(s)} {s.kind !== 'none' && s.unit}</td>
                <td><Status of={s.status} old={stale} /></td>
                <td>{stale && 'stale, '}{age(now.value / 1000 - s.time)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {point !== undefined && <PlotPanel key={point.point} controller={name} point={point.point} usual={d.usual_interval ?? 0} />}
    </Section>
  )
}

function Status({ of: status, old }: { of: number; old: boolean }) {
  const q = quality(status)
  const code = `0x${status.toString(16).toUpperCase().padStart(8, '0')}`
  return <span class={q === 'good' ? 'good' : q === 'bad' ? 'trouble' : 'warn'} title={code}>{old && 'was '}{q}{status !== 0 && <small> {code}</small>}</span>
}

function Signals({ of: d }: { of: Detail }) {
  const history = Object.entries(link.value?.history ?? {})
  if (history.length === 0 && (d.signals ?? []).length === 0) return null
  return (
    <Section id="signals" title="Signal">
      {(d.signals ?? []).map((s) => (
        <p key={s.quantity}>
          <b>{eventName(s.quantity)}</b> {level(s.value)} {s.unit}<Told at={s.time} />
          {s.usual !== undefined && ` · usually ${level(s.usual)}`}
          {s.limit !== 0 && ` · ${s.quantity === 'attenuation' ? 'at most' : 'at least'} ${level(s.limit)} needed`}
        </p>
      ))}
      {history.map(([quantity, readings]) => <Trend key={quantity} name={eventName(quantity)} readings={readings} />)}
    </Section>
  )
}

const told: [keyof Counts, string][] = [
  ['reports', 'reports'], ['fresh', 'new ones'], ['again', 'came again'], ['skipped', 'skipped numbers'], ['refused', 'refused'],
  ['frames', 'frames'], ['damaged', 'damaged frames'], ['line_errors', 'line errors'], ['timeouts', 'timeouts'], ['exceptions', 'exceptions'],
  ['malformed', 'malformed'], ['restarts', 'restarts'], ['sessions_lost', 'sessions lost'],
]

function Counters({ of: d }: { of: Detail }) {
  const counts = Object.entries(link.value?.counts ?? {})
  const window = told.filter(([key]) => d.now[key] > 0 || d.before[key] > 0)
  return (
    <Section id="link" title="Link">
      <table>
        <thead><tr><th scope="col">In a window</th><th scope="col">now ({age(d.now.seconds)})</th><th scope="col">before</th></tr></thead>
        <tbody>
          {window.length === 0 && <tr><th scope="row">nothing came</th><td>0</td><td>0</td></tr>}
          {window.map(([key, name]) => <tr key={key}><th scope="row">{name}</th><td>{count(d.now[key])}</td><td>{count(d.before[key])}</td></tr>)}
        </tbody>
      </table>
      {counts.length > 0 && (
        <table>
          <thead><tr><th scope="col">Since the gateway started</th><th scope="col">count</th></tr></thead>
          <tbody>{counts.map(([event, n]) => <tr key={event}><th scope="row">{eventName(event)}</th><td>{count(n)}</td></tr>)}</tbody>
        </table>
      )}
    </Section>
  )
}

function Gaps({ of: d }: { of: Detail }) {
  const l: Link | null = link.value
  const missing = l?.books?.gap ?? d.missing
  return (
    <Section id="gaps" title="Gaps">
      <p class={missing > 0 ? 'trouble' : 'good'}>
        {missing > 0 ? `${some(missing, 'report')} missing now, by the numbers: what the controller kept still comes.` : 'No report is missing as far as its numbers tell.'}
      </p>
      {l?.books !== undefined && <p class="hint">{count(l.books.duplicate)} came again and were stored once.</p>}
    </Section>
  )
}

function BadFrames() {
  const frames = link.value?.bad_frames ?? []
  if (frames.length === 0) return null
  return (
    <Section id="frames" title="Last bad frames">
      <ul class="frames">
        {frames.toReversed().map((f) => (
          <li key={f.time + f.bytes}>
            <b>{eventName(f.event)}</b> {age((now.value - Date.parse(f.time)) / 1000)} ago · {bytes(f.size)} · {f.why}
            <div class="hex">{f.bytes.replaceAll(/(..)(?=.)/g, '$1 ')}{f.size * 2 > f.bytes.length && ' …'}</div>
          </li>
        ))}
      </ul>
    </Section>
  )
}
