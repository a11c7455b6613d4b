import { useEffect } from 'preact/hooks'
import { signOut } from './api'
import { Controller } from './controller'
import { age, clock, some, zone } from './format'
import { Home } from './home'
import { SignIn } from './signin'
import { connected, heard, now, overview, problems, refusedStream, route, session, silence } from './state'

export function App() {
  if (session.value === undefined) return <p class="wait" role="status">One moment …</p>
  if (session.value === null) return <SignIn />
  return (
    <>
      <Header />
      <Silence />
      <main id="main" tabIndex={-1} class={silence.value > 0 ? 'stale' : ''}>
        <Problems />
        <Page />
      </main>
    </>
  )
}

function Page() {
  const r = route.value
  const causes = overview.value?.causes.length ?? 0
  useEffect(() => {
    const about = r.page === 'controller' ? `${r.name} · ` : causes > 0 ? `${some(causes, 'cause')} · ` : ''
    document.title = `${about}Penstock`
  }, [r, causes])
  return r.page === 'controller' ? <Controller key={r.name} name={r.name} /> : <Home />
}

function Header() {
  const leave = () => signOut().finally(() => { session.value = null })
  return (
    <header>
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); document.getElementById('main')?.focus() }}>To the content</a>
      <a class="brand" href="#/">Penstock</a>
      <Live />
      <span class="who">{session.value?.role}</span>
      <button type="button" class="quiet" onClick={leave}>Sign out</button>
    </header>
  )
}

function Live() {
  if (!connected.value || silence.value > 0) return <span class="live off">not connected</span>
  return <span class="live on">live<span class="wide"> · {clock(now.value, now.value)} {zone}</span></span>
}

// Silence says how old everything on the page is when the gateway is not heard.
function Silence() {
  if (silence.value === 0 && refusedStream.value === '') return null
  return (
    <p class="banner" role="alert">
      {refusedStream.value !== '' ? `${refusedStream.value} ` : `No word from the gateway for ${age(silence.value)}. `}
      {heard.value > 0 && `What stands below is old: it is as of ${clock(heard.value, Date.now())}.`}
    </p>
  )
}

function Problems() {
  return (
    <>
      {Object.entries(problems.value).map(([part, why]) => (
        <p key={part} class="banner" role="alert">The gateway cannot tell {part} now, and what is shown of it is old: {why}</p>
      ))}
    </>
  )
}
