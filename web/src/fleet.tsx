// The list of controllers: thousands of rows, of which only those in sight are in
// the page.

import { computed, signal, useComputed, useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { age, cause, count } from './format'
import type { FleetRow, Pulse } from './shapes'
import { controllerAddress, fleetChanged, fleetRows, now } from './state'

const rowHeight = 40
const beyond = 8 // rows above and below what is in sight

const sought = signal('')
const shown = signal<'all' | 'trouble' | Pulse>('all')

const order: Record<Pulse, number> = { silent: 0, late: 1, held: 2, new: 3, reporting: 4 }
const rank = (r: FleetRow) => (order[r[3]] === 4 && r[4] !== 'ok' ? 1.5 : order[r[3]])

const list = computed(() => {
  void fleetChanged.value
  const words = sought.value.toLowerCase().split(/\s+/).filter((w) => w !== '')
  const fits = (r: FleetRow) => {
    if (shown.value === 'trouble' ? r[3] === 'reporting' && r[4] === 'ok' : shown.value !== 'all' && r[3] !== shown.value) return false
    if (words.length === 0) return true
    const text = `${r[0]} ${r[1]} ${r[2]} ${r[4]}`.toLowerCase()
    return words.every((w) => text.includes(w))
  }
  return [...fleetRows.values()].filter(fits).sort((a, b) => rank(a) - rank(b) || (a[0] < b[0] ? -1 : 1))
})

export function Fleet() {
  return (
    <section aria-labelledby="fleet">
      <h2 id="fleet">Controllers</h2>
      <div class="seek">
        <input
          type="search" aria-label="Search controllers" placeholder="Name, site, line or cause"
          value={sought.value} onInput={(e) => { sought.value = e.currentTarget.value }}
        />
        <select aria-label="Which controllers" value={shown.value} onChange={(e) => { shown.value = e.currentTarget.value as typeof shown.value }}>
          <option value="all">All</option>
          <option value="trouble">In trouble</option>
          <option value="silent">Silent</option>
          <option value="late">Late</option>
          <option value="new">New</option>
          <option value="held">Held</option>
          <option value="reporting">Reporting</option>
        </select>
        <Found />
      </div>
      <List />
    </section>
  )
}

function Found() {
  return <span class="hint" role="status">{count(list.value.length)} shown</span>
}

function List() {
  const box = useRef<HTMLDivElement>(null)
  const top = useSignal(0)
  const height = useSignal(400)
  const active = useSignal(0)
  useEffect(() => {
    const el = box.current!
    const seen = new ResizeObserver(() => { height.value = el.clientHeight })
    seen.observe(el)
    return () => seen.disconnect()
  }, [])
  const range = useComputed(() => {
    const first = Math.max(0, Math.floor(top.value / rowHeight) - beyond)
    return { first, rows: list.value.slice(first, Math.ceil((top.value + height.value) / rowHeight) + beyond) }
  })
  const { first, rows } = range.value
  const total = list.value.length
  const go = (e: KeyboardEvent) => {
    const page = Math.max(1, Math.floor(height.value / rowHeight) - 1)
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -total, End: total }
    const step = steps[e.key]
    if (step === undefined || total === 0) return
    e.preventDefault()
    const to = Math.min(total - 1, Math.max(0, active.value + step))
    active.value = to
    const el = box.current!
    if (to * rowHeight < el.scrollTop) el.scrollTop = to * rowHeight
    else if ((to + 1) * rowHeight > el.scrollTop + el.clientHeight) el.scrollTop = (to + 1) * rowHeight - el.clientHeight
    top.value = el.scrollTop
    requestAnimationFrame(() => el.querySelector<HTMLElement>(`[data-row="${to}"]`)?.focus())
  }
  if (total === 0) return <div ref={box} class="rows none"><p class="hint">No controller fits.</p></div>
  const inSight = Math.min(active.value, total - 1)
  const reachable = inSight >= first && inSight < first + rows.length ? inSight : first
  return (
    <div ref={box} class="rows" role="list" aria-label="Controllers" onScroll={(e) => { top.value = e.currentTarget.scrollTop }} onKeyDown={go}>
      <div class="space" style={{ height: `${total * rowHeight}px` }} role="presentation">
        {rows.map((r, i) => <Item key={r[0]} row={r} at={first + i} of={total} reachable={first + i === reachable} />)}
      </div>
    </div>
  )
}

function Item({ row: [name, site, line, pulse, why, seen], at, of, reachable }: { row: FleetRow; at: number; of: number; reachable: boolean }) {
  return (
    <div class="row" role="listitem" aria-setsize={of} aria-posinset={at + 1} style={{ top: `${at * rowHeight}px` }}>
      <a href={controllerAddress(name)} data-row={at} tabIndex={reachable ? 0 : -1}>
        <span class="name">{name}</span>
        <span class="where">{[site, line].filter((s) => s !== '').join(' · ')}</span>
        {why !== 'ok' && <span class={pulse === 'reporting' ? 'why' : 'why wide'}>{cause(why)}</span>}
        <PulseMark pulse={pulse} seen={seen} least={why !== 'ok' && pulse === 'reporting'} />
      </a>
    </div>
  )
}

// PulseMark shows what is stale as stale, with its age. Where there is room for one
// word alone, one that says least is left out.
export function PulseMark({ pulse, seen, least }: { pulse: Pulse; seen: number; least?: boolean }) {
  const old = pulse !== 'reporting' && seen > 0 ? ` · stale for ${age((now.value - seen) / 1000)}` : ''
  return <span class={`pulse ${pulse}${least === true ? ' wide' : ''}`}>{pulse}{old}</span>
}
