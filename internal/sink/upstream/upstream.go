package upstream

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/link"
)

// Sink hands reports on to one centre. It connects when there is something to write,
// and keeps the connection for what follows.
type Sink struct {
	settings
	env    sink.Env
	http   *http.Client // nil until it is needed, and after the connection failed
	closed bool
}

// Bounds of one request beside its bytes, and how long the centre's record is waited
// for at most.
const (
	mostReports = 5_000
	mostSamples = 500_000
	mostWait    = 25 * time.Second
)

// New returns a sink that is not connected yet. Errors have code
// [penstock.Invalid].
func New(c Config, env sink.Env) (*Sink, error) {
	s, err := newSettings(c)
	if err != nil {
		return nil, err
	}
	return &Sink{settings: s, env: env}, nil
}

// Write implements [penstock.Sink]. It returns when the centre's record has settled
// every report, or when it is known which ones it has not.
func (s *Sink) Write(ctx context.Context, rs []*penstock.Report) error {
	if s.closed {
		return penstock.Errorf(penstock.Closed, "the sink is closed")
	}
	w := writing{failed: map[int]error{}, most: mostReports}
	for w.next < len(rs) {
		if err := s.step(ctx, &w, rs); err != nil {
			return err
		}
	}
	if len(w.failed) > 0 {
		return &penstock.WriteError{Failed: w.failed}
	}
	return nil
}

// writing is one write under way.
type writing struct {
	next   int           // the first report that was not sent
	most   int           // reports of a request
	failed map[int]error // by report
}

// step sends the next reports. An error is that of all reports of the write.
func (s *Sink) step(ctx context.Context, w *writing, rs []*penstock.Report) error {
	body, n := s.fill(rs[w.next:], w.most)
	from, to := w.next, w.next+n
	err := s.send(ctx, body, rs[from:to])
	var each *penstock.WriteError
	switch {
	case err == nil:
	case errors.As(err, &each):
		for i, why := range each.Failed {
			w.failed[from+i] = why
		}
	case penstock.CodeOf(err) == penstock.TooLarge && to-from > 1:
		w.most = (to - from) / 2 // the centre has its own bounds
		return nil
	case penstock.CodeOf(err) == penstock.TooLarge:
		w.failed[from] = err
	case from == 0:
		return err
	default: // what was sent before is settled, and the rest would meet the same trouble
		for i := from; i < len(rs); i++ {
			w.failed[i] = err
		}
		to = len(rs)
	}
	w.next = to
	return nil
}

// fill returns a body of reports, as many as it may have and at least one, and how many.
// The body is a new one: the library may read the one before, although its request was
// answered or given up.
func (s *Sink) fill(rs []*penstock.Report, most int) (body []byte, n int) {
	body = link.BeginForwarded(nil)
	samples := 0
	for n < len(rs) && n < most {
		before := len(body)
		body = link.AppendForwarded(body, s.received(rs[n]))
		samples += len(rs[n].Samples)
		if n > 0 && (len(body) > s.request || samples > mostSamples) {
			return body[:before], n
		}
		n++
	}
	return body, n
}

// received returns a report with a received time: one that only fills a place in a
// sequence has none.
func (s *Sink) received(r *penstock.Report) *penstock.Report {
	if r.ReceivedTime > 0 {
		return r
	}
	timed := *r
	timed.ReceivedTime = s.env.Now().UnixNano()
	return &timed
}

// send sends the body with these reports, and returns what became of them.
func (s *Sink) send(ctx context.Context, body []byte, rs []*penstock.Report) error {
	if s.http == nil {
		var err error
		if s.http, err = s.client(); err != nil {
			return err
		}
	}
	answer, err := s.post(ctx, body)
	if err != nil {
		s.disconnect() // the next one reads the files of TLS anew
		return err
	}
	return s.judge(answer, rs)
}

// patience returns how long the centre is to wait for its record: so long that its
// answer comes in time.
func patience(ctx context.Context) time.Duration {
	end, bounded := ctx.Deadline()
	if !bounded {
		return mostWait
	}
	left := time.Until(end) * 3 / 4
	return min(max(left, 0), mostWait).Truncate(time.Second)
}

// disconnect ends the connection.
func (s *Sink) disconnect() {
	if s.http != nil {
		s.http.CloseIdleConnections()
		s.http = nil
	}
}

// Close implements [penstock.Sink].
func (s *Sink) Close() error {
	s.closed = true
	s.disconnect()
	return nil
}
