// Everything that the pages show, as signals; the stream alone writes most of them.

import { computed, signal } from '@preact/signals'
import type { Books, Detail, FleetRow, Flow, Link, Overview, Sample, Session, Sink } from './shapes'

// undefined: not known yet; null: nobody is signed in.
export const session = signal<Session | null | undefined>(undefined)

// Why the sign-in link that the page was opened with did not do; empty for none.
export const refusedLink = signal('')

export const overview = signal<Overview | null>(null)
export const books = signal<Books | null>(null)
export const flow = signal<Flow | null>(null)
export const sinks = signal<Sink[] | null>(null)

export const detail = signal<Detail | null>(null)
export const link = signal<Link | null>(null)
export const values = signal<Sample[] | null>(null)

// The parts that the gateway could not answer, and why.
export const problems = signal<Record<string, string>>({})

// The fleet is large and changes row by row: the map is kept, and the number says
// that it changed.
export const fleetRows = new Map<string, FleetRow>()
export const fleetChanged = signal(0)

// When the gateway was heard last by our clock, and how far its clock is ahead.
export const heard = signal(0)
export const ahead = signal(0)
export const connected = signal(false)

// Why the gateway, which answers, sends nothing live; empty for not known.
export const refusedStream = signal('')

// Now on the gateway's clock, in milliseconds; it moves once a second.
const moment = signal(Date.now())
export const now = computed(() => moment.value + ahead.value)
setInterval(() => { moment.value = Date.now() }, 1000)

// How long the gateway was not heard, in seconds; 0 while it is.
const patience = 4
export const silence = computed(() => {
  if (heard.value === 0) return 0
  const s = (moment.value - heard.value) / 1000
  return s >= patience ? s : 0
})

// The page that the address names.
export type Route = { page: 'home' } | { page: 'controller'; name: string }

function routeOf(hash: string): Route {
  const prefix = '#/controller/'
  if (hash.startsWith(prefix)) {
    try {
      return { page: 'controller', name: decodeURIComponent(hash.slice(prefix.length)) }
    } catch { /* an address that somebody mistyped */ }
  }
  return { page: 'home' }
}

export const controllerAddress = (name: string) => `#/controller/${encodeURIComponent(name)}`

export const route = signal<Route>(routeOf(location.hash))
addEventListener('hashchange', () => {
  route.value = routeOf(location.hash)
  scrollTo(0, 0)
})

export function forgetController() {
  detail.value = null
  link.value = null
  values.value = null
}

export function forgetAll() {
  forgetController()
  overview.value = null
  books.value = null
  flow.value = null
  sinks.value = null
  problems.value = {}
  fleetRows.clear()
  fleetChanged.value++
  heard.value = 0
  connected.value = false
  refusedStream.value = ''
}
