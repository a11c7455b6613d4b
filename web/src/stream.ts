// The one stream of the console: what changed on the gateway, as it changes.

import { batch, effect, type Signal } from '@preact/signals'
import { whoAmI, whyNoStream } from './api'
import type { FleetChanges } from './shapes'
import * as state from './state'

const parts: Record<string, Signal<unknown>> = {
  overview: state.overview,
  books: state.books,
  flow: state.flow,
  controller: state.detail,
  link: state.link,
  values: state.values,
}

function take(part: string, data: unknown) {
  const { [part]: before, ...others } = state.problems.peek()
  if (data !== null && typeof data === 'object' && 'problem' in data) {
    state.problems.value = { ...others, [part]: String(data.problem) }
    return
  }
  if (before !== undefined) state.problems.value = others
  if (part === 'sinks') state.sinks.value = (data as { sinks: typeof state.sinks.value }).sinks
  else parts[part]!.value = data
}

function takeFleet(c: FleetChanges) {
  if (c.all) state.fleetRows.clear()
  for (const row of c.rows ?? []) state.fleetRows.set(row[0], row)
  for (const name of c.gone ?? []) state.fleetRows.delete(name)
  state.fleetChanged.value++
}

function open(controller: string | null): () => void {
  let source: EventSource
  let again = 0
  let ended = false
  const connect = () => {
    source = new EventSource(controller === null ? '/v1/watch' : `/v1/watch?${new URLSearchParams({ controller })}`)
    for (const part of [...Object.keys(parts), 'sinks']) {
      source.addEventListener(part, (e) => batch(() => take(part, JSON.parse(e.data))))
    }
    source.addEventListener('fleet', (e) => batch(() => takeFleet(JSON.parse(e.data))))
    source.addEventListener('tick', (e) => batch(() => {
      state.heard.value = Date.now()
      state.ahead.value = Date.parse(JSON.parse(e.data).time) - Date.now()
      state.connected.value = true
      state.refusedStream.value = ''
    }))
    source.onerror = () => {
      state.connected.value = false
      // The browser connects again by itself, but for a refusal.
      if (source.readyState === EventSource.CLOSED) again = window.setTimeout(ask, 2000)
    }
  }
  // ask finds out why it was refused: the session is over, or the gateway cannot now.
  const ask = async () => {
    const who = await whoAmI().catch(() => undefined)
    const why = who ? await whyNoStream() : ''
    if (ended) return
    state.refusedStream.value = why
    if (who === null) state.session.value = null
    else if (who === undefined || why !== '') again = window.setTimeout(ask, 2000)
    else connect()
  }
  connect()
  return () => {
    ended = true
    clearTimeout(again)
    source.close()
  }
}

// follow keeps the stream that the page needs open while somebody is signed in.
export function follow() {
  let watched: string | null | undefined
  let close = () => {}
  effect(() => {
    const on = state.session.value != null
    const r = state.route.value
    const wanted = on ? (r.page === 'controller' ? r.name : null) : undefined
    if (wanted === watched) return
    close()
    close = () => {}
    watched = wanted
    queueMicrotask(() => batch(() => (wanted === undefined ? state.forgetAll() : state.forgetController())))
    if (wanted !== undefined) close = open(wanted)
  })
}
