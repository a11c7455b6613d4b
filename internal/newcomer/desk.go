package newcomer

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/intake"
)

// Intake is what knows the controllers of this node, and admits their reports.
type Intake interface {
	// Knows tells whether the node has anything of an epoch of a controller, or of any
	// epoch where it is 0.
	Knows(controller string, epoch uint64) bool
	Learn(known []penstock.Known)
	Admit(js []intake.Judged) penstock.Ticket
}

// Options are what a Desk works with. All but Log and the times are required.
type Options struct {
	Intake Intake
	// Known asks the record what it holds of a controller.
	Known    func(ctx context.Context, controller string) ([]penstock.Known, error)
	Now      func() time.Time
	Log      *slog.Logger  // nil for none
	Patience time.Duration // with one question; 2 s when 0
}

// The bounds of what is asked.
const (
	defaultPatience = 2 * time.Second
	fresh           = 2 * time.Second // an answer is as good as new
	rest            = time.Second     // after a question in vain nothing is asked
	askers          = 2               // questions side by side: the record has few connections
	mostQuestions   = 4096            // that wait for their turn
	mostFamiliar    = 1 << 16         // controllers whose epoch is remembered here
	retryAfter      = 250 * time.Millisecond
)

// Desk asks the record about strangers. It is safe for concurrent use.
type Desk struct {
	Options
	queue chan *question

	mu        sync.Mutex // guards everything below
	questions map[string]*question
	answered  map[string]time.Time // when the record last answered, for as long as that is fresh
	familiar  map[string]uint64    // the newest epoch that the intake was seen to know
	why       error                // of the record's failure, nil while it answers
	down      time.Time            // until then it is not asked again
	parked    int                  // calls of Admit that wait
	stopped   bool
}

// question is one that is under way.
type question struct {
	controller string
	done       chan struct{} // closed when the answer is there
	then       []func()      // what waits for it besides; called without the lock
}

// New returns a desk that asks once it runs.
func New(o Options) *Desk {
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Desk{
		Options: o, queue: make(chan *question, mostQuestions),
		questions: map[string]*question{}, answered: map[string]time.Time{}, familiar: map[string]uint64{},
	}
}

// Run asks the record until ctx ends. Who waits then is told to come later.
func (d *Desk) Run(ctx context.Context) {
	var work sync.WaitGroup
	for range askers {
		work.Go(func() {
			for {
				select {
				case q := <-d.queue:
					d.ask(ctx, q)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	work.Wait()
	d.mu.Lock()
	d.stopped = true
	d.mu.Unlock()
	for {
		select {
		case q := <-d.queue:
			d.finish(q)
		default:
			return
		}
	}
}

// ask puts one question to the record, unless that has just failed to answer another.
func (d *Desk) ask(ctx context.Context, q *question) {
	defer d.finish(q)
	d.mu.Lock()
	resting := d.resting()
	d.mu.Unlock()
	if resting {
		return
	}
	within, cancel := context.WithTimeout(ctx, d.Patience)
	defer cancel()
	known, err := d.Known(within, q.controller)
	if penstock.CodeOf(err) == penstock.Unsupported {
		err = nil // a record that nobody shares
	}
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		d.Intake.Learn(known)
	}
	d.heard(q.controller, err)
}

// finish tells all who wait for a question that it is over.
func (d *Desk) finish(q *question) {
	d.mu.Lock()
	delete(d.questions, q.controller)
	d.mu.Unlock()
	close(q.done)
	for _, do := range q.then {
		do()
	}
}

// resting tells whether the record is left in peace after a failure. d.mu is held.
func (d *Desk) resting() bool { return d.why != nil && d.Now().Before(d.down) }

// heard notes what came of a question.
func (d *Desk) heard(controller string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.Now()
	if err != nil {
		if d.why == nil {
			d.Log.Warn("the record cannot be asked about controllers that are new here; those that are known go on, the others are told to come later", "error", err)
		}
		d.why, d.down = err, now.Add(rest)
		return
	}
	if d.why != nil {
		d.Log.Info("the record answers again about controllers that are new here")
	}
	d.why = nil
	if len(d.answered) >= mostFamiliar {
		clear(d.answered) // they are asked for again
	}
	d.answered[controller] = now
}

// begin puts a question, or joins one under way. It returns nil when nothing is asked
// now: the record has just failed, too many questions wait, or the node stops. d.mu is
// held.
func (d *Desk) begin(controller string) *question {
	if q := d.questions[controller]; q != nil {
		return q
	}
	if d.stopped || d.resting() {
		return nil
	}
	q := &question{controller: controller, done: make(chan struct{})}
	select {
	case d.queue <- q:
		d.questions[controller] = q
		return q
	default:
		return nil
	}
}

// isFresh tells whether the record has just answered. d.mu is held.
func (d *Desk) isFresh(controller string) bool {
	at, ok := d.answered[controller]
	if ok && d.Now().Sub(at) > fresh {
		delete(d.answered, controller)
		return false
	}
	return ok
}

// Meet returns nil when the marks of a controller may be told to it, which names an
// epoch, or 0 where it asks which was its last. An error of code
// [penstock.Unavailable] says that it has to come again: the record is being asked, or
// cannot be. It never waits.
func (d *Desk) Meet(controller string, epoch uint64) error {
	knows := d.Intake.Knows(controller, epoch)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.isFresh(controller) {
		return nil
	}
	q := d.begin(controller)
	switch {
	case d.why != nil:
		return d.verdict(controller)
	case epoch != 0 && knows: // what is asked now helps the next time
		return nil
	case q == nil:
		return later("too many controllers are new to this node at once")
	}
	return later("this node asks the record about a controller that is new to it")
}

// refresh asks what is true now about a controller, unless that was just done.
func (d *Desk) refresh(controller string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.isFresh(controller) {
		d.begin(controller)
	}
}

// Await is [Desk.Meet] for who can wait a while: it asks for what is true now also
// about controllers and epochs that the node knows, as long as the record answers.
func (d *Desk) Await(ctx context.Context, controller string, _ uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.isFresh(controller) {
		return nil
	}
	q := d.begin(controller)
	if q != nil && (d.why == nil || !d.Intake.Knows(controller, 0)) {
		d.mu.Unlock()
		err := d.wait(ctx, q)
		d.mu.Lock()
		if err != nil {
			return err
		}
		if d.isFresh(controller) {
			return nil
		}
	}
	return d.verdict(controller)
}

// wait waits for the answer, for a bounded time. Its error is that of ctx.
func (d *Desk) wait(ctx context.Context, q *question) error {
	timer := time.NewTimer(d.Patience)
	defer timer.Stop()
	select {
	case <-q.done:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// verdict is what a controller is told about which the record has not answered: whom
// the node knows goes on. d.mu is held.
func (d *Desk) verdict(controller string) error {
	switch {
	case d.Intake.Knows(controller, 0):
		return nil
	case d.why != nil:
		return later("the controller is new to this node, and the record cannot be asked about it now; the gateway's log says why")
	}
	return later("the controller is new to this node, and the record has not answered yet what it knows of it")
}

func later(text string) error { return penstock.RetryLater(penstock.Unavailable, retryAfter, text) }
