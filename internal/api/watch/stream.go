package watch

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/ops"
	"github.com/penstock/penstock/internal/api/problem"
	"github.com/penstock/penstock/internal/api/web"
	"github.com/penstock/penstock/internal/diagnose"
)

// View is one thing that people watch.
type View struct {
	// Name of its events.
	Name string
	// Of returns what the caller may see of it, nil for nothing. What it returns
	// becomes JSON, and is sent when that is not what was sent last.
	Of func(c *web.Call) (any, error)
}

// Options are what a [Handler] needs. Standings must be given.
type Options struct {
	Standings func() []diagnose.Standing
	Views     []View
	Paused    func() bool   // tells whether live streams are done without just now; nil for never
	Streams   int           // at once: 64
	Every     time.Duration // between two looks: 1 s
}

// Handler answers those who watch.
type Handler struct {
	standings func() []diagnose.Standing
	views     []View
	paused    func() bool
	every     time.Duration
	streams   chan struct{} // holds an element a stream
}

// New returns a handler.
func New(o Options) *Handler {
	web.Default(&o.Streams, 64)
	web.Default(&o.Every, time.Second)
	if o.Paused == nil {
		o.Paused = func() bool { return false }
	}
	return &Handler{paused: o.Paused, standings: (&kept{read: o.Standings, every: o.Every / 2}).get, views: o.Views, every: o.Every, streams: make(chan struct{}, o.Streams)}
}

// Streams returns how many streams are open.
func (h *Handler) Streams() int { return len(h.streams) }

// Routes returns what it answers.
func (h *Handler) Routes() []web.Route {
	return []web.Route{{
		Method: http.MethodGet, Path: "/v1/watch", Access: web.Viewer, Serve: h.watch,
		Summary: "The state of the gateway as it changes: what the console shows",
		Details: "Server-sent events, each sent when it changed: overview as /v1/diagnose answers, books and nameless input as the totals of /v1/ledger, flow as /v1/flow, sinks as /v1/sinks, " +
			"fleet with how each controller stands (all of them first, later those that changed, and the names of those that are gone), and tick with the time, each second. " +
			"With controller also controller, as /v1/diagnose/{controller}, link, as /v1/links with detail, and values, the newest sample of each point.",
		Params: []web.Param{{In: "query", Name: "controller", Doc: "Name of one controller to see all of.", Example: "pump-17"}},
		Answer: []web.Media{{Name: "text/event-stream"}},
	}}
}

// watch answers GET /v1/watch.
func (h *Handler) watch(c *web.Call) error {
	if name := c.Value("controller"); name != "" {
		if err := c.Covers(name); err != nil {
			return err
		}
	}
	if h.paused() {
		return penstock.RetryLater(penstock.Unavailable, 5*time.Second, "The gateway is short of memory and does without live pages until it has more. Reports are taken all the same.")
	}
	select {
	case h.streams <- struct{}{}:
		defer func() { <-h.streams }()
	default:
		return penstock.RetryLater(penstock.Unavailable, 5*time.Second, "As many people watch as may at once.")
	}
	ctx, stop := c.UntilDrain()
	defer stop()
	s := &stream{c: c, views: h.views, sent: make([][]byte, len(h.views)), fleet: fleet{sent: map[string]row{}}}
	s.buf = c.NewBody()
	defer s.buf.Free()
	c.Header().Set("Content-Type", "text/event-stream")
	return s.run(ctx, h)
}

// stream is what one caller watches.
type stream struct {
	c     *web.Call
	views []View
	sent  [][]byte // by view, as it was sent last
	fleet fleet
	buf   *web.Body
}

// run sends what changed until ctx ends, the caller is gone, its credential or its
// session has ended, or the gateway does without.
func (s *stream) run(ctx context.Context, h *Handler) error {
	look := time.NewTicker(h.every)
	defer look.Stop()
	s.buf.Bytes = append(s.buf.Bytes, "retry: 2000\n\n"...)
	for {
		if !s.c.StillKnown() || h.paused() {
			return nil
		}
		if err := s.look(h); err != nil {
			return err
		}
		if err := s.buf.Account(); err != nil {
			return err
		}
		if s.c.SendNow(s.buf) != nil {
			return nil // who is gone or too slow comes again
		}
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
	}
}

// look puts what changed into the buffer.
func (s *stream) look(h *Handler) error {
	for i, v := range s.views {
		what, err := v.Of(s.c)
		if err != nil {
			// A part that cannot answer is when people look most: they see the rest.
			what = Failed{problem.From(err).Detail}
		}
		if what == nil {
			continue
		}
		data, err := json.Marshal(what)
		if err != nil {
			return err
		}
		if !bytes.Equal(data, s.sent[i]) {
			s.sent[i] = data
			s.append(v.Name, data)
		}
	}
	if changes := s.fleet.changes(h.standings(), s.c); changes != nil {
		data, err := json.Marshal(changes)
		if err != nil {
			return err
		}
		s.append("fleet", data)
	}
	data, err := json.Marshal(Tick{ops.Moment(s.c.Now())})
	if err != nil {
		return err
	}
	s.append("tick", data)
	return nil
}

// Failed stands for what could not be answered.
type Failed struct {
	Problem string `json:"problem"`
}

// Tick says that the gateway is there, and what time it has.
type Tick struct {
	Time string `json:"time"`
}

// append adds an event. JSON has no line break.
func (s *stream) append(event string, data []byte) {
	b := append(append(s.buf.Bytes, "event: "...), event...)
	b = append(append(b, "\ndata: "...), data...)
	s.buf.Bytes = append(b, "\n\n"...)
}
