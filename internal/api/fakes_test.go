package api_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api"
	"github.com/penstock/penstock/internal/api/problem"
	"github.com/penstock/penstock/internal/api/query"
)

// fakePipeline takes reports of JSON with a controller and an identity, and
// knows what it has had. It holds tickets back while gate is not nil.
type fakePipeline struct {
	auth *fakeFleet

	mu        sync.Mutex // guards everything below
	known     map[string]string
	envelopes []penstock.Envelope // without bodies, as submitted
	sizes     []int
	bodies    [][]byte      // as the pipeline keeps them until the ticket resolves
	gate      chan struct{} // tickets resolve when it is closed
	fail      func(n int, e *penstock.Envelope) error
}

type fakeTicket struct {
	gate <-chan struct{}
	out  []penstock.Outcome
}

func (t *fakeTicket) Wait(ctx context.Context) ([]penstock.Outcome, error) {
	if t.gate != nil {
		select {
		case <-t.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return t.out, nil
}

func (p *fakePipeline) Submit(_ context.Context, es []penstock.Envelope) penstock.Ticket {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := &fakeTicket{gate: p.gate}
	for i := range es {
		e := es[i]
		p.sizes = append(p.sizes, len(e.Body))
		if p.gate != nil {
			p.bodies = append(p.bodies, e.Body)
		}
		o := p.judge(&e)
		e.Body = nil
		p.envelopes = append(p.envelopes, e)
		t.out = append(t.out, o)
	}
	return t
}

func (p *fakePipeline) judge(e *penstock.Envelope) (o penstock.Outcome) {
	if p.fail != nil {
		if err := p.fail(len(p.envelopes), e); err != nil {
			return penstock.Outcome{Err: err}
		}
	}
	who, err := p.auth.Authenticate(e.Credential)
	if err != nil {
		return penstock.Outcome{Err: err}
	}
	if e.HasChecksum && crc32.ChecksumIEEE(e.Body) != e.Checksum {
		return penstock.Outcome{Err: penstock.Errorf(penstock.Corrupt, "the checksum does not hold")}
	}
	reports, err := decode(e)
	if err != nil {
		return penstock.Outcome{Err: err}
	}
	for i, r := range reports {
		o.Verdicts = append(o.Verdicts, p.verdict(who, e, i, len(reports), r))
	}
	return o
}

type wireReport struct {
	Controller string          `json:"controller"`
	Epoch      uint64          `json:"epoch"`
	Seq        uint64          `json:"seq"`
	Key        string          `json:"key"`
	Samples    json.RawMessage `json:"samples"`
}

func decode(e *penstock.Envelope) (rs []wireReport, err error) {
	body := bytes.TrimSpace(e.Body)
	switch {
	case e.ContentType == "application/x-ndjson":
		for line := range bytes.Lines(e.Body) {
			if len(bytes.TrimSpace(line)) == 0 {
				continue
			}
			var r wireReport
			if err = json.Unmarshal(line, &r); err != nil {
				break
			}
			rs = append(rs, r)
		}
	case bytes.HasPrefix(body, []byte("[")):
		err = json.Unmarshal(body, &rs)
	default:
		rs = make([]wireReport, 1)
		err = json.Unmarshal(body, &rs[0])
	}
	if err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "the body is not JSON: %w", err)
	}
	return rs, nil
}

func (p *fakePipeline) verdict(who *penstock.Principal, e *penstock.Envelope, i, n int, r wireReport) penstock.Verdict {
	v := penstock.Verdict{Controller: r.Controller, Result: penstock.Accepted}
	switch {
	case r.Seq > 0:
		v.Identity = penstock.SequenceIdentity(r.Epoch, r.Seq)
	case r.Key != "":
		v.Identity = penstock.KeyIdentity(r.Key)
	case e.Key != "" && n == 1:
		v.Identity = penstock.KeyIdentity(e.Key)
	case e.Key != "":
		v.Identity = penstock.KeyIdentity(e.Key + "/" + strconv.Itoa(i))
	}
	id := r.Controller + " " + v.Identity.String()
	before, had := p.known[id]
	switch {
	case !who.Scope.Covers(r.Controller):
		v.Result, v.Reason, v.Detail = penstock.Rejected, penstock.ReasonForbidden, "outside the scope"
	case had && v.Identity.Form != penstock.Natural && before != string(r.Samples):
		v.Result, v.Reason, v.Detail = penstock.Rejected, penstock.ReasonConflict, "known with another content"
	case had:
		v.Result = penstock.Duplicate
	}
	if !had && v.Result == penstock.Accepted {
		p.known[id] = string(r.Samples)
	}
	if v.Identity.Form == penstock.Sequence && r.Seq > 1 {
		v.Committed = penstock.Mark{Epoch: r.Epoch, Seq: r.Seq - 1}
	}
	return v
}

// fakeFleet knows a credential a role, whose token is the role's name, and one
// whose scope is narrow.
type fakeFleet struct {
	mu    sync.Mutex
	creds []api.Credential
}

func newFakeFleet() *fakeFleet {
	f := &fakeFleet{}
	for _, r := range []penstock.Role{penstock.RoleController, penstock.RoleViewer, penstock.RoleOperator, penstock.RoleAdmin} {
		f.creds = append(f.creds, api.Credential{ID: string(r), Label: "the " + string(r), Kind: "token", Role: r, Scope: penstock.Scope{"*"}, Created: 1e18})
	}
	f.creds = append(f.creds, api.Credential{ID: "narrow", Label: "a narrow admin", Kind: "token", Role: penstock.RoleAdmin, Scope: penstock.Scope{"pump-*"}, Created: 1e18})
	return f
}

func (f *fakeFleet) Authenticate(c penstock.Credential) (*penstock.Principal, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range f.creds {
		if k.ID == c.Token && k.Revoked == 0 {
			return &penstock.Principal{Credential: k.ID, Role: k.Role, Scope: k.Scope}, nil
		}
	}
	if len(c.Certificates) > 0 {
		return &penstock.Principal{Credential: "cert:" + c.Certificates[0].Subject.CommonName, Role: penstock.RoleController, Scope: penstock.Scope{c.Certificates[0].Subject.CommonName}}, nil
	}
	return nil, penstock.Errorf(penstock.Unauthenticated, "the token is not known")
}

func (f *fakeFleet) Controllers() []api.Controller {
	return []api.Controller{
		{Name: "pump-17", State: "registered", FirstSeen: 1e18, LastSeen: 2e18, Source: "https", LastIdentity: penstock.SequenceIdentity(1, 7), Points: 2},
		{Name: "tank-1", State: "held"},
	}
}

func (f *fakeFleet) Credentials() []api.Credential {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.creds)
}

func (f *fakeFleet) Add(g api.Grant) (string, api.Credential, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if g.Label == "" {
		return "", api.Credential{}, penstock.Errorf(penstock.Invalid, "a credential needs a name")
	}
	k := api.Credential{ID: fmt.Sprintf("new%d", len(f.creds)), Label: g.Label, Kind: cmp.Or(g.Kind, "token"), Role: g.Role, Scope: g.Scope, Created: 1e18}
	f.creds = append(f.creds, k)
	return k.ID, k, nil
}

func (f *fakeFleet) Revoke(id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.creds {
		if f.creds[i].ID == id {
			f.creds[i].Revoked = 2e18
			return nil
		}
	}
	return penstock.Errorf(penstock.NotFound, "there is no credential %s", id)
}

func (f *fakeFleet) Admit(name string) error {
	if name != "tank-1" {
		return penstock.Errorf(penstock.NotFound, "the controller %s is not held", name)
	}
	return nil
}

// fakeSheets has a sheet of two controllers. An import fails on a row of its own
// line that says bad, and calls covers for the names in front of the first comma.
type fakeSheets struct{ imported []string }

func (f *fakeSheets) Export(shown func(string) bool) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		more := yield([]byte("controller,point\n"))
		for _, name := range []string{"pump-17", "tank-1"} {
			if shown(name) && more {
				more = yield([]byte(name + ",flow\n"))
			}
		}
	}
}

func (f *fakeSheets) Import(sheet []byte, covers func(string) error, dry bool) (r api.SheetResult, err error) {
	for i, line := range strings.Split(strings.TrimSpace(string(sheet)), "\n")[1:] {
		name, rest, _ := strings.Cut(line, ",")
		if err := covers(name); err != nil {
			r.Problems = append(r.Problems, problem.Row{Line: i + 2, Column: "controller", Detail: err.Error()})
		} else if rest == "bad" {
			r.Problems = append(r.Problems, problem.Row{Line: i + 2, Detail: "the row is bad"})
		}
		r.Rows++
		r.Controllers++
	}
	if !dry && len(r.Problems) == 0 {
		f.imported = append(f.imported, string(sheet))
	}
	return r, nil
}

func (f *fakeSheets) ExportCredentials() ([]byte, error) {
	return []byte(`{"version":1,"credentials":[]}`), nil
}

func (f *fakeSheets) ImportCredentials(text []byte) (api.CredentialsImported, error) {
	if string(text) != `{"version":1,"credentials":[]}` {
		return api.CredentialsImported{}, penstock.Errorf(penstock.Invalid, "these are no credentials that a gateway exported")
	}
	return api.CredentialsImported{Added: 2, Revoked: 1, Unchanged: 4}, nil
}

// fakeHistorian is the record and the spool: what is put in is settled, unless
// behind is set.
type fakeHistorian struct {
	mu      sync.Mutex
	series  []query.Series
	samples map[uint64][]sample
	behind  bool
	broken  int // fail after so many samples, 0 for never
}

func (h *fakeHistorian) put(controller, point, unit string, samples ...penstock.Sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	id := uint64(len(h.series) + 1)
	h.series = append(h.series, query.Series{ID: id, Controller: controller, Point: point, Unit: unit})
	h.samples[id] = samples
}

func (h *fakeHistorian) Durable() penstock.Position { return 7 }

func (h *fakeHistorian) Wait(ctx context.Context, p penstock.Position) error {
	if h.behind || p != 7 {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (h *fakeHistorian) Series(sel query.Selector) (all []query.Series) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fits := func(pattern, name string) bool { return pattern == "" || penstock.Scope{pattern}.Covers(name) }
	for _, s := range slices.Backward(h.series) { // any order
		// The scope is told and not applied: the API must not trust one place alone.
		if sel.Scope != nil && fits(sel.Controller, s.Controller) && fits(sel.Point, s.Point) {
			all = append(all, s)
		}
	}
	return all
}

func (h *fakeHistorian) Latest(_ context.Context, id uint64) (penstock.Sample, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.samples[id]
	if len(all) == 0 {
		return penstock.Sample{}, false, nil
	}
	return all[len(all)-1], true, nil
}

func (h *fakeHistorian) Samples(_ context.Context, id uint64, from, to int64) iter.Seq2[penstock.Sample, error] {
	return func(yield func(penstock.Sample, error) bool) {
		h.mu.Lock()
		all, broken := h.samples[id], h.broken
		h.mu.Unlock()
		n := 0
		for _, s := range all {
			if s.SourceTime < from || s.SourceTime >= to {
				continue
			}
			if n++; broken > 0 && n > broken {
				yield(penstock.Sample{}, penstock.Errorf(penstock.Corrupt, "a chunk is rotten"))
				return
			}
			if !yield(s, nil) {
				return
			}
		}
	}
}

func (h *fakeHistorian) Aggregates(ctx context.Context, id uint64, from, to, step int64) iter.Seq2[query.Bucket, error] {
	return func(yield func(query.Bucket, error) bool) {
		var b query.Bucket
		for s, err := range h.Samples(ctx, id, from, to) {
			if err != nil {
				yield(b, err)
				return
			}
			start := s.SourceTime - s.SourceTime%step
			if b.Count+b.Unusable > 0 && start != b.Start {
				if !yield(b, nil) {
					return
				}
				b = query.Bucket{}
			}
			b.Start = start
			add(&b, s)
		}
		if b.Count+b.Unusable > 0 {
			yield(b, nil)
		}
	}
}

func add(b *query.Bucket, s penstock.Sample) {
	if s.Status.Worse(b.Worst) {
		b.Worst = s.Status
	}
	v, ok := s.Value.Number()
	if !ok || s.Status.IsBad() {
		b.Unusable++
		return
	}
	if b.Count == 0 {
		b.Min, b.Max, b.First = v, v, s.Value
	}
	b.Count++
	b.Min, b.Max, b.Last = min(b.Min, v), max(b.Max, v), s.Value
	b.Sum += v
}

type fakeLedger struct{ record *fakeRecord }

// fakeRecord settles nothing until it is told to.
type fakeRecord struct {
	settled chan struct{} // closed when it has
	asked   chan []penstock.Verdict
}

func (l fakeLedger) Settling() func(context.Context, []penstock.Verdict) error {
	return func(ctx context.Context, vs []penstock.Verdict) error {
		if l.record == nil {
			return nil
		}
		l.record.asked <- vs
		select {
		case <-l.record.settled:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (fakeLedger) Books() []query.Account {
	return []query.Account{
		{Controller: "tank-1", Received: 1, Rejected: map[penstock.Reason]uint64{penstock.ReasonUnknown: 1}},
		{Controller: "pump-17", Received: 10, Accepted: 8, Duplicate: 1, Rejected: map[penstock.Reason]uint64{penstock.ReasonConflict: 1},
			Committed: 5, DuplicateAtRecord: 1, InSpool: 1, Quarantined: 1},
	}
}

func (fakeLedger) Arrivals(controller string) (uint64, uint64, bool) {
	return 1, 3, controller == "pump-17" || controller == "quiet"
}

func (fakeLedger) Nameless() map[penstock.Reason]uint64 {
	return map[penstock.Reason]uint64{penstock.ReasonUnauthenticated: 3}
}

// seen is an observer.
type seen struct {
	mu    sync.Mutex
	lines []string
}

func (s *seen) Request(route, status string, _ time.Duration, received int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf("%s %s %d", route, status, received))
}

func (s *seen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

type sample = penstock.Sample
