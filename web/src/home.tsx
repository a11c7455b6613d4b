import { BooksPanel, FlowPanel, SinksPanel } from './gateway'
import { Causes } from './causes'
import { Fleet } from './fleet'
import { count, some } from './format'
import { overview } from './state'

export function Home() {
  return (
    <>
      <Line />
      <Causes />
      <div class="panels">
        <BooksPanel />
        <SinksPanel />
        <FlowPanel />
      </div>
      <Fleet />
    </>
  )
}

// Line is the first thing that a person wants to know.
function Line() {
  const o = overview.value
  if (o === null) return <h1 class="line">Looking …</h1>
  const causes = o.causes.length
  const taken = o.causes.reduce((n, c) => n + c.count, 0)
  return (
    <h1 class="line" aria-live="off">
      <b>{count(o.reporting)}</b> of {count(o.controllers)} reporting
      {' · '}<span class={o.late > 0 ? 'late' : ''}>{count(o.late)} late</span>
      {' · '}<span class={o.silent > 0 ? 'silent' : ''}>{count(o.silent)} silent</span>
      {o.new > 0 && <>{' · '}{count(o.new)} new</>}
      {o.held > 0 && <>{' · '}{count(o.held)} held</>}
      {' · '}<span class={causes > 0 ? 'silent' : ''}>{some(causes, 'cause')}</span>
      {taken > 0 && <span> of trouble at {some(taken, 'controller')}</span>}
    </h1>
  )
}
