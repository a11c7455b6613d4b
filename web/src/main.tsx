import { render } from 'preact'
import { Problem, signIn, whoAmI } from './api'
import { App } from './app'
import { refusedLink, session } from './state'
import { follow } from './stream'
import './style.css'

// byLink signs in with the code of a sign-in link, once: it takes it out of the
// address and the history first.
async function byLink() {
  const prefix = '#/sign-in/'
  if (!location.hash.startsWith(prefix)) return false
  const code = location.hash.slice(prefix.length)
  history.replaceState(null, '', '#/')
  try {
    session.value = await signIn({ code })
    return true
  } catch (e) {
    refusedLink.value = e instanceof Problem ? e.detail : String(e)
    return false
  }
}

async function begin() {
  if (!await byLink()) session.value = await whoAmI().catch(() => null)
}

follow()
render(<App />, document.getElementById('app')!)
addEventListener('hashchange', () => { void byLink() })
void begin()
