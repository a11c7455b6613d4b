// How numbers, times and words of the gateway are shown.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const fine = new Intl.NumberFormat('en', { maximumSignificantDigits: 9 })

export const count = (n: number) => whole.format(n)

export const number = (n: number) => fine.format(n)

// level shows a signal, to a tenth as it is judged.
export const level = (n: number) => n.toFixed(1).replace('-', '−')

// some tells how many: "1 report", "21 reports".
export const some = (n: number, one: string) => `${count(n)} ${one}${n === 1 ? '' : 's'}`

export const percent = (share: number) => `${Math.round(share * 100)} %`

export function bytes(n: number): string {
  for (const [unit, size] of [['GiB', 2 ** 30], ['MiB', 2 ** 20], ['KiB', 2 ** 10]] as const) {
    if (n >= size) return `${(n / size).toFixed(n >= 10 * size ? 0 : 1)} ${unit}`
  }
  return `${n} B`
}

// length tells how long something takes, from microseconds up.
export function length(seconds: number): string {
  const s = Math.abs(seconds)
  const sign = seconds < 0 ? '−' : ''
  if (s === 0) return '0 s'
  if (s < 1e-3) return `${sign}${Math.round(s * 1e6)} µs`
  if (s < 1) return `${sign}${(s * 1e3).toFixed(s < 0.01 ? 1 : 0)} ms`
  if (s < 10) return `${sign}${s.toFixed(1)} s`
  return sign + age(s)
}

// age tells how long ago something was, in the largest unit that says enough.
export function age(seconds: number): string {
  const s = Math.max(0, Math.round(seconds))
  if (s < 100) return `${s} s`
  if (s < 100 * 60) return `${Math.round(s / 60)} min`
  if (s < 48 * 3600) return `${Math.floor(s / 3600)} h ${Math.round((s % 3600) / 60)} min`
  return `${Math.floor(s / 86400)} d`
}

// zone names the zone of the local time: people compare it with the log, which has UTC.
export const zone = new Intl.DateTimeFormat('en', { timeZoneName: 'short' }).formatToParts().find((p) => p.type === 'timeZoneName')?.value ?? ''

const pad = (n: number) => String(n).padStart(2, '0')

// clock tells the local time of day, and the day when that is not today.
export function clock(ms: number, now: number): string {
  const t = new Date(ms)
  const time = `${pad(t.getHours())}:${pad(t.getMinutes())}:${pad(t.getSeconds())}`
  if (t.toDateString() === new Date(now).toDateString()) return time
  return `${t.getFullYear()}-${pad(t.getMonth() + 1)}-${pad(t.getDate())} ${time}`
}

const causes: Record<string, string> = {
  ok: 'Nothing wrong',
  physical: 'Physical transport',
  controller: 'Controller',
  network: 'Network',
  gateway: 'Gateway software',
  store: 'Store',
  configuration: 'Configuration',
  unclear: 'Cannot tell yet',
}

export const cause = (verdict: string) => causes[verdict] ?? verdict

// Cable or software? What each cause is, and what it is not.
const meanings: Record<string, string> = {
  physical: 'Cable, radio or fibre, plugs and aerials: not software.',
  controller: 'The device itself: not what lies between.',
  network: 'Between the site and this machine: not the devices.',
  gateway: 'This software, or the machine that it runs on: nothing in the field.',
  store: 'The database or disk behind the gateway: nothing in the field.',
  configuration: 'What was set up, here or there: nothing is broken.',
  unclear: 'One of both: the next check tells them apart.',
}

export const meaning = (verdict: string) => meanings[verdict] ?? ''

export function verdictTitle(v: { verdict: string; between?: string[] }): string {
  if (v.verdict === 'unclear' && v.between?.length === 2) {
    return `${cause(v.between[0]!)} or ${cause(v.between[1]!).toLowerCase()}`
  }
  return cause(v.verdict)
}

// quality tells the status of a sample by its two highest bits.
export function quality(status: number): 'good' | 'uncertain' | 'bad' {
  const severity = status >>> 30
  return severity === 0 ? 'good' : severity === 1 ? 'uncertain' : 'bad'
}

// value shows the value of a sample: a whole number in all its digits.
export function value(s: { kind: string; value?: string }): string {
  const text = s.value ?? ''
  switch (s.kind) {
    case 'none': return 'no value'
    case 'int64':
    case 'uint64': return whole.format(BigInt(text))
    case 'float64': return Number.isFinite(Number(text)) ? number(Number(text)) : text
  }
  return text
}

// exact returns the seconds since 1970 of a time, to the microsecond.
export function exact(time: string | undefined): number {
  const [, whole, fraction] = /^(.*?)(\.\d+)?Z$/.exec(time ?? '') ?? []
  return whole === undefined ? NaN : Date.parse(`${whole}Z`) / 1000 + Number(fraction ?? 0)
}

const events: Record<string, string> = { received: 'whole frames', rssi: 'RSSI', snr: 'SNR' }

export const eventName = (e: string) => events[e] ?? e.replaceAll('_', ' ')
