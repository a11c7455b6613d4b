package script

import (
	"fmt"
	"sync"
	"time"
)

// share is the part of the time that the faults of one controller may take, as one in
// so many: so little that 99 of 100 reports of others come at a time without them.
const share = 100

// maxRest bounds a rest, so that a controller that is well again is not forgotten.
const maxRest = 10 * time.Minute

// debts are the time that controllers owe because the script had to be stopped on
// their reports. Who owes more than is allowed rests: the script is not run on its
// reports until enough is paid back, by waiting. It is safe for concurrent use.
type debts struct {
	allowed time.Duration

	mu sync.Mutex
	of map[string]debt
}

// debt is what one controller owed at a time.
type debt struct {
	owed time.Duration
	at   time.Time
	held int // workers that its reports hold, in operations that cannot be stopped
}

func (d debt) left(now time.Time) time.Duration {
	return max(0, d.owed-max(0, now.Sub(d.at))/share)
}

// rest tells for how long the controller rests from now on, 0 for not at all, and
// whether that is until its reports hold no worker any more.
func (d *debts) rest(controller string, now time.Time) (rest time.Duration, held bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	owes := d.of[controller]
	return max(0, owes.left(now)-d.allowed) * share, owes.held > 0
}

// manyDebts is from how many debts on those that are paid back are looked for.
const manyDebts = 256

// add has the controller owe more, and returns for how long it rests.
func (d *debts) add(controller string, burnt time.Duration, now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.change(controller, burnt, 0, now)
}

// hold says that a worker cannot be stopped on a report of the controller.
func (d *debts) hold(controller string, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.change(controller, 0, 1, now)
}

// free says that the worker came back, after a time.
func (d *debts) free(controller string, burnt time.Duration, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.change(controller, burnt, -1, now)
}

// change changes what a controller owes. d.mu is held.
func (d *debts) change(controller string, burnt time.Duration, held int, now time.Time) time.Duration {
	if len(d.of) >= manyDebts {
		for name, owes := range d.of {
			if owes.held == 0 && owes.left(now) == 0 {
				delete(d.of, name)
			}
		}
	}
	before := d.of[controller]
	owes := debt{min(before.left(now)+burnt, d.allowed+maxRest/share), now, before.held + held}
	d.of[controller] = owes
	return max(0, owes.owed-d.allowed) * share
}

// resting returns the fault of a report on which the script is not run, nil when it is.
func (e *Engine) resting(controller string) *Fault {
	rest, held := e.debts.rest(controller, e.now())
	switch {
	case held:
		return e.fault(Resting, "was not run: a report of this controller still holds a worker, in an operation that cannot be stopped")
	case rest > 0:
		return e.fault(Resting, fmt.Sprintf("was not run: it was stopped on too many reports of this controller, and looks at the next one in %v", rest.Round(time.Millisecond)))
	}
	return nil
}
