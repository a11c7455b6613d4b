// Requests to the gateway. The session's cookie goes with them by itself.

import type { Plot, Session } from './shapes'

// Problem is an answer that says what went wrong and what to do (RFC 9457).
export class Problem extends Error {
  constructor(readonly status: number, readonly detail: string, readonly advice: string) { super(detail) }
}

async function request(method: string, path: string, body?: unknown): Promise<Response> {
  let answer: Response
  try {
    answer = await fetch(path, {
      method,
      credentials: 'same-origin',
      ...(body === undefined ? {} : { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }),
    })
  } catch {
    throw new Problem(0, 'The gateway does not answer.', 'Look whether it runs, and at the network between it and you.')
  }
  if (answer.ok) return answer
  const p = await answer.json().catch(() => ({})) as { detail?: string; do?: string }
  throw new Problem(answer.status, p.detail ?? `The gateway answered ${answer.status}.`, p.do ?? '')
}

export const signIn = async (by: { token: string } | { code: string }): Promise<Session> => (await request('POST', '/v1/session', by)).json()

export const signOut = async (): Promise<void> => { await request('DELETE', '/v1/session') }

// whoAmI returns null when nobody is signed in.
export async function whoAmI(): Promise<Session | null> {
  try {
    return await (await request('GET', '/v1/session')).json()
  } catch (e) {
    if (e instanceof Problem && (e.status === 401 || e.status === 403)) return null
    throw e
  }
}

// whyNoStream returns why the gateway gives no live stream, empty when it does or does
// not answer at all.
export async function whyNoStream(): Promise<string> {
  try {
    await (await request('GET', '/v1/watch')).body?.cancel()
    return ''
  } catch (e) {
    return e instanceof Problem && e.status >= 500 ? e.detail : ''
  }
}

export async function plot(controller: string, point: string, from: number, to: number, steps: number): Promise<Plot> {
  const ask = new URLSearchParams({
    controller, point, steps: String(steps), from: new Date(from).toISOString(), to: new Date(to).toISOString(),
  })
  return (await request('GET', `/v1/plot?${ask}`)).json()
}
