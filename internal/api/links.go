package api

import (
	"encoding/hex"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/web"
	"github.com/penstock/penstock/internal/evidence"
)

// links answers for what happened on the way of the reports.
type links struct {
	book    *evidence.Book
	ledger  Ledger
	sources func() []SourceState // nil for none
}

// SourceState is how one source is now.
type SourceState struct {
	Name      string
	State     string    // starting, running or failing
	Since     time.Time // when that began
	Why       string    // it fails, empty otherwise
	Addresses []string  // where it listens, host:port
}

func (l *links) routes() []web.Route {
	return []web.Route{{
		Method: http.MethodGet, Path: "/v1/links", Access: web.Viewer, Serve: l.list,
		Summary: "What happened on the links of controllers and on the ports of the gateway",
		Details: "Counts since the gateway started; what stands in books is kept for ever. A checksum error stands on the port always, and on a controller only when something else than the damaged bytes names it. Sources and ports are shown to a scope of *. A source that fails is tried again for ever.",
		Params: []web.Param{
			{In: "query", Name: "controller", Doc: "Name of the controller; * stands for any run of characters; all, and the sources and ports, when absent.", Example: "pump-17"},
			{In: "query", Name: "port", Doc: "Name of the port or source, likewise; all when absent.", Example: "line-3"},
			{In: "query", Name: "detail", Doc: "1: with the last bad frames and the history of each signal.", Example: "1"},
		},
		Answer: []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[Links]()}},
	}}
}

// Links is what a caller may see of the links.
type Links struct {
	Sources     []SourceInfo `json:"sources,omitempty"`
	Ports       []LinkInfo   `json:"ports,omitempty"`
	Controllers []LinkInfo   `json:"controllers,omitempty"`
}

// SourceInfo is how one source is.
type SourceInfo struct {
	Name      string   `json:"name"`
	State     string   `json:"state" doc:"starting, running or failing."`
	Since     string   `json:"since" doc:"When that began."`
	Why       string   `json:"why,omitempty" doc:"Why it fails, or failed last."`
	Addresses []string `json:"addresses,omitempty" doc:"Where it listens."`
}

// LinkInfo is one port, or the link of one controller.
type LinkInfo struct {
	Name      string                  `json:"name"`
	Peer      string                  `json:"peer,omitempty" doc:"Where it speaks from, as last seen."`
	Heard     string                  `json:"heard,omitempty" doc:"When the last whole frame came."`
	Counts    map[string]uint64       `json:"counts" doc:"By event, those that are not zero."`
	Books     *LinkBooks              `json:"books,omitempty" doc:"What the ledger knows of a controller's reports, whatever way they took."`
	Signals   map[string]SignalInfo   `json:"signals,omitempty" doc:"The newest reading of each quantity."`
	BadFrames []BadFrameInfo          `json:"bad_frames,omitempty" doc:"The last ones, the oldest first."`
	History   map[string][]SignalInfo `json:"history,omitempty" doc:"The last readings of each quantity, the oldest first."`
}

// LinkBooks is what the ledger knows that tells of a link. A resend that is counted
// on the wire and found to be a duplicate stands in both.
type LinkBooks struct {
	Duplicate uint64 `json:"duplicate" doc:"Reports that came again."`
	Gap       uint64 `json:"gap" doc:"Sequence numbers that are missing now, before the newest of their epochs."`
}

// SignalInfo is one reading of a signal.
type SignalInfo struct {
	Time  string  `json:"time"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// BadFrameInfo is a frame that could not be used.
type BadFrameInfo struct {
	Time  string `json:"time"`
	Event string `json:"event"`
	Why   string `json:"why"`
	Bytes string `json:"bytes" doc:"The first of it, in hexadecimal."`
	Size  int    `json:"size" doc:"Bytes of all of it."`
}

// list answers GET /v1/links.
func (l *links) list(c *web.Call) error {
	controller, port, detail := c.Value("controller"), c.Value("port"), c.Value("detail") == "1"
	var answer Links
	if controller == "" && c.Who.Scope.Covers("*") {
		answer.Sources = l.states(port)
		for _, s := range l.book.Ports() {
			if port == "" || (penstock.Scope{port}).Covers(s.Name) {
				page, _ := l.book.FindPort(s.Name)
				answer.Ports = append(answer.Ports, linkInfo(page, s, detail))
			}
		}
	}
	if port == "" {
		for _, s := range l.book.Controllers() {
			if c.Sees(controller, s.Name) {
				page, _ := l.book.FindController(s.Name)
				info := linkInfo(page, s, detail)
				info.Books = l.books(s.Name)
				answer.Controllers = append(answer.Controllers, info)
			}
		}
		if controller != "" && len(answer.Controllers) == 0 && c.Sees(controller, controller) {
			// One that was asked for by its name may have books without a page.
			if books := l.books(controller); books != nil {
				answer.Controllers = append(answer.Controllers, LinkInfo{Name: controller, Counts: map[string]uint64{}, Books: books})
			}
		}
	}
	return c.JSON(http.StatusOK, answer)
}

// states returns how the sources are whose names fit the pattern, empty for all.
func (l *links) states(pattern string) (all []SourceInfo) {
	if l.sources == nil {
		return nil
	}
	for _, s := range l.sources() {
		if pattern == "" || (penstock.Scope{pattern}).Covers(s.Name) {
			all = append(all, SourceInfo{Name: s.Name, State: s.State, Since: momentText(s.Since), Why: strings.ToValidUTF8(s.Why, "\ufffd"), Addresses: s.Addresses})
		}
	}
	return all
}

// books returns what the ledger knows, nil for a controller without books.
func (l *links) books(controller string) *LinkBooks {
	duplicates, missing, known := l.ledger.Arrivals(controller)
	if !known {
		return nil
	}
	return &LinkBooks{Duplicate: duplicates, Gap: missing}
}

func linkInfo(page *evidence.Page, s evidence.Summary, detail bool) LinkInfo {
	info := LinkInfo{Name: s.Name, Peer: s.Peer, Heard: momentText(s.Heard), Counts: make(map[string]uint64, len(s.Counts))}
	for e, n := range s.Counts {
		info.Counts[e.String()] = n
	}
	for q, r := range s.Signals {
		if info.Signals == nil {
			info.Signals = map[string]SignalInfo{}
		}
		info.Signals[string(q)] = signalInfo(q, r)
		if !detail {
			continue
		}
		if info.History == nil {
			info.History = map[string][]SignalInfo{}
		}
		for _, r := range page.Readings(q) {
			info.History[string(q)] = append(info.History[string(q)], signalInfo(q, r))
		}
	}
	if detail {
		for _, f := range page.BadFrames() {
			info.BadFrames = append(info.BadFrames, BadFrameInfo{
				Time: momentText(f.Time), Event: f.Event.String(), Why: strings.ToValidUTF8(f.Why, "\ufffd"), Bytes: hex.EncodeToString(f.Bytes), Size: f.Size,
			})
		}
	}
	return info
}

func signalInfo(q evidence.Quantity, r evidence.Reading) SignalInfo {
	return SignalInfo{Time: momentText(r.Time), Value: r.Value, Unit: q.Unit()}
}

func momentText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return timeText(t.UnixNano())
}
