// What the gateway sends, as the API documents it in /openapi.json.

export interface Session { credential: string; role: 'viewer' | 'operator' | 'admin'; scope: string[] }

export type Pulse = 'reporting' | 'late' | 'silent' | 'new' | 'held'

export interface Verdict {
  verdict: string
  between?: string[]
  confidence: number
  second?: string
  scope?: string
  name?: string
  since?: string
  evidence_for?: string[]
  evidence_against?: string[]
  evidence_missing?: string[]
  next?: string
  send?: string
}

export interface Cause extends Verdict { count: number; controllers: string[]; missing: number }

export interface Overview {
  controllers: number
  reporting: number
  late: number
  silent: number
  new: number
  held: number
  causes: Cause[]
}

export interface BookLine {
  received: number
  accepted: number
  duplicate: number
  rejected: Record<string, number>
  committed: number
  duplicate_at_record: number
  in_spool: number
  quarantined: number
  filtered: number
  discarded: number
  damaged: number
  balanced: boolean
}

export interface Books { total: BookLine; nameless?: Record<string, number> }

export interface Stage {
  name: string
  part: string
  reports_per_second: number
  mean_seconds: number
  p50_seconds: number
  p99_seconds: number
  busy: number
  under_way: number
  oldest_seconds: number
}

export interface Flow {
  window_seconds: number
  stages: Stage[]
  slowest: Record<string, string>
  stalls?: { stage: string; part: string; since: string }[]
  spool: { used_bytes: number; quota_bytes: number }
  memory: { used_bytes: number; limit_bytes?: number; shedding?: string }
}

export interface Sink {
  name: string
  system_of_record: boolean
  state: string
  since: string
  why?: string
  alarm?: string
  backlog: { reports: number; bytes: number; seconds: number }
  books: { delivered: number; quarantined: number; discarded: number; dropped: number }
}

// [name, site, line, pulse, cause, when it was seen last in ms; 0 while it reports]
export type FleetRow = [string, string, string, Pulse, string, number]

export interface FleetChanges { all?: boolean; rows?: FleetRow[]; gone?: string[] }

export interface Counts {
  seconds: number
  reports: number
  fresh: number
  again: number
  skipped: number
  refused: number
  frames: number
  damaged: number
  line_errors: number
  timeouts: number
  exceptions: number
  malformed: number
  restarts: number
  sessions_lost: number
}

export interface LinkSignal { quantity: string; unit: string; value: number; usual?: number; limit: number; time: string }

export interface Detail extends Verdict {
  controller: string
  unknown?: boolean
  site?: string
  line?: string
  source?: string
  link_type?: string
  pulse: Pulse
  last_seen?: string
  usual_interval?: number
  clock?: { least_age: number; delay: number; stepped: number }
  last_report?: { identity: string; source?: string; received: string; accepted: string; stored: string }
  now: Counts
  before: Counts
  signals?: LinkSignal[]
  missing: number
}

export interface Reading { time: string; value: number; unit: string }

export interface Link {
  peer?: string
  heard?: string
  counts: Record<string, number>
  books?: { duplicate: number; gap: number }
  bad_frames?: { time: string; event: string; why: string; bytes: string; size: number }[]
  history?: Record<string, Reading[]>
}

// The value comes as text: a number of JavaScript would lose digits of a counter.
export interface Sample { point: string; unit?: string; kind: string; value?: string; time: number; status: number }

export interface Plot {
  point: string
  unit: string
  from: number
  to: number
  step: number
  times: number[]
  min: (number | null)[]
  max: (number | null)[]
  last: (number | null)[]
  unusable: number[]
  status: number[]
}
