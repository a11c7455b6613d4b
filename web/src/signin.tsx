import { useSignal } from '@preact/signals'
import { Problem, signIn } from './api'
import { refusedLink, session } from './state'

export function SignIn() {
  const token = useSignal('')
  const busy = useSignal(false)
  const trouble = useSignal('')
  const submit = async (e: Event) => {
    e.preventDefault()
    busy.value = true
    trouble.value = ''
    try {
      session.value = await signIn({ token: token.value.trim() })
    } catch (e) {
      trouble.value = e instanceof Problem ? `${e.detail} ${e.status === 401 ? 'Look whether the token is whole, and not revoked.' : e.advice}` : String(e)
    }
    busy.value = false
  }
  return (
    <main class="signin">
      <h1>Penstock</h1>
      {refusedLink.value !== '' && <p class="banner" role="alert">{refusedLink.value} Sign in with a token.</p>}
      <form onSubmit={submit}>
        <label for="token">Token</label>
        <input
          id="token" type="password" autocomplete="current-password" required autofocus spellcheck={false}
          value={token.value} onInput={(e) => { token.value = e.currentTarget.value }}
          aria-describedby="hint" aria-invalid={trouble.value !== ''}
        />
        <p id="hint" class="hint">
          Of a viewer, an operator or an admin. The gateway left its first one in the file <code>admin.token</code> of its data
          directory; <code>penstock controllers add</code> makes more.
        </p>
        {trouble.value !== '' && <p class="trouble" role="alert">{trouble.value}</p>}
        <button type="submit" disabled={busy.value}>Sign in</button>
      </form>
    </main>
  )
}
