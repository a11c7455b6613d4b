// The gateway itself: its books, its sinks, and how reports flow through it.

import type { ComponentChildren } from 'preact'
import { age, bytes, count, length, number } from './format'
import type { BookLine, Flow, Sink, Stage } from './shapes'
import { books, flow, now, sinks } from './state'

function Panel({ id, title, children }: { id: string; title: string; children: ComponentChildren }) {
  return <section class="panel" aria-labelledby={id}><h2 id={id}>{title}</h2>{children}</section>
}

const sum = (of: Record<string, number>) => Object.values(of).reduce((a, b) => a + b, 0)

export function BooksPanel() {
  const b = books.value
  if (b === null) return null
  const t = b.total
  const nameless = sum(b.nameless ?? {})
  return (
    <Panel id="books" title="Books">
      <p class={t.balanced ? 'good' : 'trouble'}>{t.balanced ? '✓ They balance: no report ended in silence.' : '✗ They do not balance. Tell who looks after the gateway.'}</p>
      <Sums of={t} />
      {nameless > 0 && <p class="hint">{count(nameless)} messages were refused before they named a controller.</p>}
    </Panel>
  )
}

export function Sums({ of: t }: { of: BookLine }) {
  const rejected = sum(t.rejected)
  return (
    <table class="sums">
      <tbody>
        <Row name="Received" n={t.received} strong />
        <Row name="duplicate" n={t.duplicate} />
        <Row name="rejected" n={rejected} bad={Object.entries(t.rejected).map(([why, n]) => `${why.replaceAll('_', ' ')} ${count(n)}`).join(', ')} />
        <Row name="Accepted" n={t.accepted} strong />
        <Row name="committed" n={t.committed} />
        <Row name="on the way" n={t.in_spool} />
        {t.duplicate_at_record > 0 && <Row name="duplicate at the record" n={t.duplicate_at_record} />}
        {t.quarantined > 0 && <Row name="in quarantine" n={t.quarantined} bad="wait for a person" />}
        {t.filtered > 0 && <Row name="filtered" n={t.filtered} />}
        {t.discarded > 0 && <Row name="discarded by a person" n={t.discarded} />}
        {t.damaged > 0 && <Row name="damaged on disk" n={t.damaged} bad="asked for again" />}
      </tbody>
    </table>
  )
}

function Row({ name, n, strong, bad }: { name: string; n: number; strong?: boolean; bad?: string }) {
  return (
    <tr class={strong === true ? 'strong' : ''}>
      <th scope="row">{name}{bad !== undefined && bad !== '' && n > 0 && <small> {bad}</small>}</th>
      <td>{count(n)}</td>
    </tr>
  )
}

export function SinksPanel() {
  const all = sinks.value
  if (all === null) return null
  return (
    <Panel id="sinks" title="Sinks">
      <ul class="sinks">{all.map((s) => <SinkItem key={s.name} sink={s} />)}</ul>
    </Panel>
  )
}

const muchBehind = 10 // seconds

function SinkItem({ sink: s }: { sink: Sink }) {
  const well = s.state === 'delivering' || s.state === 'starting'
  return (
    <li>
      <b>{s.name}</b>{s.system_of_record && <small> system of record</small>}
      <span class={`state ${well ? 'good' : 'trouble'}`}>{well ? '' : '! '}{s.state}</span>
      <div class={s.backlog.seconds >= muchBehind ? 'warn' : ''}>
        {s.backlog.reports === 0 ? 'nothing waits' : `${count(s.backlog.reports)} wait · ${bytes(s.backlog.bytes)} · the oldest for ${age(s.backlog.seconds)}`}
        {s.books.quarantined > 0 && <span class="trouble"> · {count(s.books.quarantined)} in quarantine</span>}
        {s.books.dropped > 0 && <span class="trouble"> · {count(s.books.dropped)} dropped</span>}
      </div>
      {!well && <div class="trouble">for {age((now.value - Date.parse(s.since)) / 1000)}{s.why !== undefined && `: ${s.why}`}</div>}
      {s.alarm !== undefined && <div class="trouble">{s.alarm}</div>}
    </li>
  )
}

export function FlowPanel() {
  const f = flow.value
  if (f === null) return null
  const longest = Math.max(...f.stages.map((s) => s.mean_seconds), 1e-9)
  return (
    <Panel id="flow" title="Flow">
      {(f.stalls ?? []).map((s) => <p key={s.stage} class="trouble">! {s.stage} stands still for {age((now.value - Date.parse(s.since)) / 1000)}.</p>)}
      {(f.stalls ?? []).length === 0 && <p class="good">✓ Every stage moves.</p>}
      {Object.entries(f.slowest).map(([part, name]) => <Slowest key={part} part={part} stage={f.stages.find((s) => s.name === name)} />)}
      <details>
        <summary>All stages</summary>
        <table class="stages">
          <thead><tr><th scope="col">Stage</th><th scope="col">Reports/s</th><th scope="col">Mean</th><th scope="col">p99</th></tr></thead>
          <tbody>{f.stages.map((s) => <StageRow key={s.name} stage={s} longest={longest} slowest={f.slowest[s.part] === s.name} />)}</tbody>
        </table>
      </details>
      <Room of={f} />
    </Panel>
  )
}

const parts: Record<string, string> = { acknowledgement: 'before the acknowledgement', delivery: 'of delivery', aside: 'aside' }

function Slowest({ part, stage: s }: { part: string; stage: Stage | undefined }) {
  if (s === undefined) return null
  return <p>Slowest {parts[part] ?? part}: <b>{s.name}</b>, {length(s.mean_seconds)} in the mean, {length(s.p99_seconds)} for 99 of 100</p>
}

function StageRow({ stage: s, longest, slowest }: { stage: Stage; longest: number; slowest: boolean }) {
  return (
    <tr class={slowest ? 'slowest' : ''}>
      <th scope="row">
        {s.name}{slowest && <small> slowest</small>}
        <meter aria-label={`mean of ${s.name}`} max={longest} value={s.mean_seconds} />
      </th>
      <td>{number(Math.round(s.reports_per_second * 10) / 10)}</td>
      <td>{length(s.mean_seconds)}</td>
      <td>{length(s.p99_seconds)}</td>
    </tr>
  )
}

function Room({ of: f }: { of: Flow }) {
  return (
    <p class="hint">
      Spool {bytes(f.spool.used_bytes)}{f.spool.quota_bytes > 0 && ` of ${bytes(f.spool.quota_bytes)}`}
      {' · '}memory {bytes(f.memory.used_bytes)}{f.memory.limit_bytes !== undefined && ` of ${bytes(f.memory.limit_bytes)}`}
      {f.memory.shedding !== undefined && f.memory.shedding !== '' && <span class="trouble"> · does without {f.memory.shedding}</span>}
    </p>
  )
}
