// Plots: each step shows its least and its greatest value, so that no spike hides,
// and what is missing or bad is seen as missing or bad.

import { useSignal } from '@preact/signals'
import { useEffect, useMemo, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { plot, Problem } from './api'
import { clock, number, quality } from './format'
import type { Plot, Reading } from './shapes'
import { now } from './state'

const ranges = [['15 min', 15], ['1 h', 60], ['6 h', 360], ['24 h', 1440], ['7 d', 10080]] as const

const color = (name: string) => getComputedStyle(document.documentElement).getPropertyValue('--plot-' + name)

function axes(): uPlot.Axis[] {
  const common = { stroke: color('text'), grid: { stroke: color('grid'), width: 1 }, ticks: { stroke: color('grid'), width: 1 } }
  return [
    { ...common, values: (_, at) => at.map((s) => clock(s * 1000, now.peek()).replace(/:00$/, '')), space: 90 },
    { ...common, size: 64, values: (_, at) => at.map(number) },
  ]
}

// withGaps breaks the line where nothing came for much longer than is usual.
export function withGaps(p: Plot, usual: number): uPlot.AlignedData {
  const far = Math.max(2.5 * p.step, 4 * usual)
  const x: number[] = [], min: (number | null)[] = [], max: (number | null)[] = [], last: (number | null)[] = []
  p.times.forEach((t, i) => {
    const before = p.times[i - 1]
    if (before !== undefined && t - before > far) {
      x.push(before + p.step)
      for (const column of [min, max, last]) column.push(null)
    }
    x.push(t)
    min.push(p.min[i]!)
    max.push(p.max[i]!)
    last.push(p.last[i]!)
  })
  return [x, max, min, last]
}

// troubles draws a mark at the bottom for each step that has samples that are not
// good.
function troubles(of: { current: Plot }): uPlot.Plugin {
  return {
    hooks: {
      draw: (u) => {
        const p = of.current
        const width = Math.max(2, u.valToPos(p.step, 'x', true) - u.valToPos(0, 'x', true))
        p.times.forEach((t, i) => {
          const q = quality(p.status[i]!)
          if (q === 'good' && p.unusable[i] === 0) return
          u.ctx.fillStyle = color(q === 'bad' || p.unusable[i]! > 0 ? 'bad' : 'warn')
          u.ctx.fillRect(u.valToPos(t, 'x', true), u.bbox.top + u.bbox.height - 8, width, 8)
        })
      },
    },
  }
}

// A picture of uPlot that is as wide as its place. It is made when there is first
// something to show and then given new data, so that a person may drag meanwhile.
function usePicture(data: uPlot.AlignedData, make: (width: number) => uPlot) {
  const place = useRef<HTMLDivElement>(null)
  const picture = useRef<uPlot | null>(null)
  const empty = data[0].length === 0
  useEffect(() => {
    const el = place.current
    if (empty || el === null) return
    const made = make(el.clientWidth)
    picture.current = made
    el.append(made.root)
    const seen = new ResizeObserver(() => {
      if (el.clientWidth !== made.width) made.setSize({ width: el.clientWidth, height: made.height })
    })
    seen.observe(el)
    return () => {
      picture.current = null
      seen.disconnect()
      made.destroy()
    }
  }, [empty])
  useEffect(() => { picture.current?.setData(data) }, [data])
  return place
}

export function PlotPanel({ controller, point, usual }: { controller: string; point: string; usual: number }) {
  const minutes = useSignal<number>(15)
  const zoomed = useSignal<[number, number] | null>(null) // ms
  const data = useSignal<Plot | null>(null)
  const trouble = useSignal('')
  const turn = useSignal(0)
  useEffect(() => {
    // What is zoomed stays as it is; a range that ends now moves on.
    if (zoomed.value !== null) return
    const timer = setInterval(() => { turn.value++ }, Math.max(2000, minutes.value * 100))
    return () => clearInterval(timer)
  }, [zoomed.value, minutes.value])
  useEffect(() => {
    let gone = false
    const to = zoomed.value?.[1] ?? now.peek()
    const from = zoomed.value?.[0] ?? to - minutes.value * 60_000
    plot(controller, point, from, to, 600).then((p) => {
      if (gone) return
      data.value = p
      trouble.value = ''
    }, (e: unknown) => { if (!gone) trouble.value = e instanceof Problem ? e.detail : String(e) })
    return () => { gone = true }
  }, [controller, point, minutes.value, zoomed.value, turn.value])
  return (
    <figure class="plot">
      <figcaption><b>{point}</b>{data.value !== null && data.value.unit !== '' && ` in ${data.value.unit}`}</figcaption>
      <div class="ranges" role="group" aria-label="Range of time">
        {ranges.map(([name, m]) => (
          <button key={m} type="button" aria-pressed={zoomed.value === null && minutes.value === m} onClick={() => { zoomed.value = null; minutes.value = m }}>{name}</button>
        ))}
        {zoomed.value !== null && <button type="button" aria-pressed onClick={() => { zoomed.value = null }}>zoomed · back</button>}
        <button type="button" onClick={() => { zoomed.value = nearer(zoomed.value, minutes.value, 0.5) }} aria-label="Zoom in">+</button>
        <button type="button" onClick={() => { zoomed.value = nearer(zoomed.value, minutes.value, 2) }} aria-label="Zoom out">−</button>
      </div>
      {trouble.value !== '' && <p class="trouble" role="alert">The plot is old or empty: {trouble.value}</p>}
      {data.value !== null && <Picture data={data.value} usual={usual} zoom={(from, to) => { zoomed.value = [from, to] }} />}
      <p class="hint">The band is the least and the greatest value of each step, the line the last. Drag to zoom. A mark at the bottom: samples that are bad or uncertain.</p>
    </figure>
  )
}

function nearer(zoomed: [number, number] | null, minutes: number, by: number): [number, number] {
  const to = zoomed?.[1] ?? now.peek()
  const from = zoomed?.[0] ?? to - minutes * 60_000
  const half = Math.max(500, (to - from) * by / 2)
  const middle = (from + to) / 2
  const end = Math.min(now.peek(), middle + half)
  return [end - 2 * half, end]
}

function Picture({ data: p, usual, zoom }: { data: Plot; usual: number; zoom: (from: number, to: number) => void }) {
  const values = p.last.filter((v) => v !== null)
  const shown = useRef(p)
  shown.current = p
  const data = useMemo(() => withGaps(p, usual), [p, usual])
  const place = usePicture(data, (width) => new uPlot({
    width, height: 260,
    cursor: { drag: { x: true, y: false, setScale: false } },
    scales: { x: { time: true, range: () => [shown.current.from, shown.current.to] } },
    axes: axes(),
    series: [
      { value: (_, s) => (s === null ? '' : clock(s * 1000, now.peek())) },
      { label: 'greatest', stroke: color('band'), width: 1, points: { show: false }, value: (_, v) => (v === null ? 'none' : number(v)) },
      { label: 'least', stroke: color('band'), width: 1, points: { show: false }, value: (_, v) => (v === null ? 'none' : number(v)) },
      { label: 'last', stroke: color('line'), width: 1.5, value: (_, v) => (v === null ? 'none' : number(v)) },
    ],
    bands: [{ series: [1, 2], fill: color('fill') }],
    plugins: [troubles(shown)],
    hooks: {
      setSelect: [(u) => {
        if (u.select.width < 5) return
        zoom(u.posToVal(u.select.left, 'x') * 1000, u.posToVal(u.select.left + u.select.width, 'x') * 1000)
      }],
    },
  }, data))
  if (p.times.length === 0) return <p class="hint">No samples in this range.</p>
  const says = values.length === 0
    ? 'No numbers in this range.'
    : `From ${number(Math.min(...p.min.filter((v) => v !== null)))} to ${number(Math.max(...p.max.filter((v) => v !== null)))}, last ${number(values.at(-1)!)}.`
  return <div ref={place} role="img" aria-label={says} data-steps={p.times.length} />
}

// Trend shows the last readings of a signal.
export function Trend({ name, readings }: { name: string; readings: Reading[] }) {
  const newest = readings.at(-1)
  const data = useMemo((): uPlot.AlignedData => (
    readings.length < 2 ? [[], []] : [readings.map((r) => Date.parse(r.time) / 1000), readings.map((r) => r.value)]
  ), [readings])
  const place = usePicture(data, (width) => new uPlot({
    width, height: 110, legend: { show: false }, axes: axes(), cursor: { show: false },
    series: [{}, { stroke: color('line'), width: 1.5 }],
  }, data))
  if (newest === undefined) return null
  return <div ref={place} role="img" aria-label={`${name}: ${readings.length} readings, the newest ${number(newest.value)} ${newest.unit}`} />
}
