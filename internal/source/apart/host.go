package apart

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/source/apart/wire"
)

// host is the gateway's end.
type host struct {
	*Source
	conn      *wire.Conn
	next      penstock.Handler
	inbox     wire.Inbox
	submitted chan submission
	promised  chan promise
	asking    chan struct{} // a place for each question that is being answered
	level     slog.Level    // that the process was told

	mu        sync.Mutex // guards everything below
	listeners map[uint64]net.Listener
	listened  uint64 // listeners that were made
	closed    bool   // none is made any more
}

// submission is what the process submitted.
type submission struct {
	id uint64
	es []penstock.Envelope
}

// promise is a ticket that the process waits for.
type promise struct {
	id     uint64
	ticket penstock.Ticket
}

func newHost(s *Source, conn *wire.Conn, next penstock.Handler) *host {
	return &host{
		Source: s, conn: conn, next: next, inbox: wire.Inbox{Source: s.env.Name},
		submitted: make(chan submission, window), promised: make(chan promise, window), asking: make(chan struct{}, questions),
		listeners: map[uint64]net.Listener{},
	}
}

// greet hears that the process is of this build, and then tells it what to do.
func (h *host) greet() error {
	f, err := h.conn.Receive()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return penstock.Errorf(penstock.Unavailable, "the process of the source said nothing within %v", greetTime)
	}
	if err != nil {
		return err
	}
	ours, err := wire.Build()
	if err != nil {
		return penstock.Errorf(penstock.Unavailable, "the build of this process is not known: %w", err)
	}
	in := wire.Read(f.Body)
	if theirs := in.Text(); f.Kind != wire.Hello || in.Err() != nil || theirs != ours {
		return penstock.Errorf(penstock.Unsupported, "the process of the source is of another build (%q, this one is %q): restart the gateway", theirs, ours)
	}
	h.level = wanted(context.Background(), h.env.Log)
	var o wire.Out
	o.Task(wire.Task{
		Name: h.env.Name, Config: h.Config, Files: h.env.Files, SameDisk: h.env.SameDisk, Choosy: h.env.Lets != nil, Strange: h.env.Newcomers != nil,
		Level: h.level, Memory: h.Memory,
		Recall: h.memory.recall(),
	})
	return h.conn.Send(wire.Start, o)
}

// serve does what the process asks for, until it is gone or breaks the rules.
func (h *host) serve(ctx context.Context, p *process) error {
	inner, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer h.closeListeners()
	defer cancel()
	var late *time.Timer
	told := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(told)
		late = time.AfterFunc(farewell, p.kill)
		_ = h.conn.Send(wire.Stop, nil) // one that does not hear it is killed
	})
	defer func() {
		if !stop() {
			<-told
			late.Stop()
		}
	}()
	work.Go(func() { h.submit(inner) })
	work.Go(func() { h.settle(inner) })
	work.Go(func() { h.tune(inner) })
	defer h.conn.Abandon()
	defer h.conn.Close() // so that nobody waits to be heard
	for {
		f, err := h.conn.Receive()
		if err == nil {
			err = h.take(inner, f, &work)
		}
		if err != nil {
			return err
		}
	}
}

// take handles a frame.
func (h *host) take(ctx context.Context, f wire.Frame, work *sync.WaitGroup) error {
	if f.File != nil {
		f.File.Close() // the process has nothing to hand over
	}
	in := wire.Read(f.Body)
	switch f.Kind {
	case wire.Submit:
		return h.taken(in)
	case wire.Note:
		n := in.Note()
		if err := in.Err(); err != nil {
			return err
		}
		h.env.Evidence.Note(n)
	case wire.State:
		ok, why := in.Bool(), in.Text()
		if ok {
			h.env.Status.OK()
		} else {
			h.env.Status.Failing(why)
		}
	case wire.Log:
		h.log(ctx, in.Record())
	case wire.Bound:
		h.env.Bound(in.Text(), in.Text())
	case wire.Retain:
		h.memory.retain(in.Bytes())
	case wire.Unlisten:
		h.unlisten(in.Uint())
	case wire.Ask:
		id, asked := in.Uint(), wire.Question(in.Byte())
		select {
		case h.asking <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		work.Go(func() {
			defer func() { <-h.asking }()
			h.answer(ctx, id, asked, in)
		})
		return nil
	default:
		return penstock.Errorf(penstock.Invalid, "the process of the source sent a frame of the kind %d", f.Kind)
	}
	return in.Err()
}

// taken hands a submission on.
func (h *host) taken(in *wire.In) error {
	s := submission{in.Uint(), h.inbox.Envelopes(in)}
	if err := in.Err(); err != nil {
		return err
	}
	select {
	case h.submitted <- s:
		return nil
	default:
		return penstock.Errorf(penstock.TooLarge, "the process of the source has more than %d submissions undecided", window)
	}
}

// submit submits in the order in which the process did.
func (h *host) submit(ctx context.Context) {
	for {
		select {
		case s := <-h.submitted:
			p := promise{s.id, h.next.Submit(ctx, s.es)}
			select {
			case h.promised <- p:
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// settle tells what became of the submissions, in their order: the spool settles
// them in it.
func (h *host) settle(ctx context.Context) {
	for {
		select {
		case p := <-h.promised:
			outcomes, err := p.ticket.Wait(ctx)
			if err != nil {
				return // ctx has ended, and with it the source
			}
			var o wire.Out
			o.Uint(p.id)
			o.Outcomes(outcomes)
			if h.conn.Send(wire.Outcomes, o) != nil {
				return // nobody waits any more
			}
		case <-ctx.Done():
			return
		}
	}
}

// tune tells the process from which level on records of the log are wanted, which
// a reload may change.
func (h *host) tune(ctx context.Context) {
	tick := time.NewTicker(levelEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			level := wanted(ctx, h.env.Log)
			if level == h.level {
				continue
			}
			h.level = level
			var o wire.Out
			o.Int(int64(level))
			if h.conn.Send(wire.Level, o) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// log writes a record of the process.
func (h *host) log(ctx context.Context, r wire.Record) {
	if !h.env.Log.Enabled(ctx, r.Level) {
		return
	}
	record := slog.NewRecord(r.Time, r.Level, r.Text, 0)
	record.AddAttrs(r.Attrs...)
	_ = h.env.Log.Handler().Handle(ctx, record) // a log has nobody to tell
}
