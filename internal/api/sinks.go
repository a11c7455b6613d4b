package api

import (
	"net/http"
	"reflect"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/web"
)

// Sinks are where the reports go.
type Sinks interface {
	Sinks() []SinkInfo
	// Pause stops delivery to a sink, and Resume goes on; code NotFound when there is
	// none of that name.
	Pause(name string) error
	Resume(name string) error
	// Replay has a sink given everything again that was accepted since a time, and
	// returns from which position of the spool on.
	Replay(name string, since time.Time) (uint64, error)
}

// sinks answers for where the reports go.
type sinks struct{ sinks Sinks }

func (s *sinks) routes() []web.Route {
	name := web.Param{In: "path", Name: "name", Doc: "The sink's name.", Example: "historian"}
	return []web.Route{{
		Method: http.MethodGet, Path: "/v1/sinks", Access: web.Viewer, Serve: s.list,
		Summary: "How the sinks stand: state, place, backlog and books of each",
		Details: "The system of record comes first. Shown to a scope of *.",
		Answer:  []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[SinkList]()}},
	}, {
		Method: http.MethodPost, Path: "/v1/sinks/{name}/pause", Access: web.Operator, Serve: s.act("paused", Sinks.Pause),
		Summary: "Stop delivery to a sink",
		Details: "It lasts until the sink is resumed, also over a restart. What the sink needs waits in the spool.",
		Params:  []web.Param{name},
		Status:  []int{http.StatusNoContent},
	}, {
		Method: http.MethodPost, Path: "/v1/sinks/{name}/resume", Access: web.Operator, Serve: s.act("resumed", Sinks.Resume),
		Summary: "Go on with delivery to a sink",
		Params:  []web.Param{name},
		Status:  []int{http.StatusNoContent},
	}, {
		Method: http.MethodPost, Path: "/v1/sinks/{name}/replay", Access: web.Operator, Serve: s.replay,
		Summary: "Deliver everything to a sink once more that was accepted since a time",
		Details: "Not to a record, which has each report once. It is refused when the spool does not have all of that any more.",
		Params:  []web.Param{name, {In: "query", Name: "since", Doc: "RFC 3339.", Example: "2026-01-01T12:00:00Z"}},
		Answer:  []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[Replayed]()}},
	}}
}

// SinkList is where the reports go.
type SinkList struct {
	Sinks []SinkInfo `json:"sinks"`
}

// SinkInfo is how a sink stands.
type SinkInfo struct {
	Name     string      `json:"name"`
	Main     bool        `json:"system_of_record" doc:"It decides what is committed."`
	Record   bool        `json:"record" doc:"It keeps its place itself, and each report once."`
	State    string      `json:"state" enum:"starting,delivering,retrying,down,paused"`
	Since    string      `json:"since" doc:"When the state began."`
	Why      string      `json:"why,omitempty" doc:"Of the last failure, while it goes on."`
	Alarm    string      `json:"alarm,omitempty" doc:"What was lost to the sink, until it has caught up."`
	Failures int         `json:"failures,omitempty" doc:"In a row."`
	Next     string      `json:"next_try,omitempty"`
	Through  uint64      `json:"through" doc:"Position of the spool up to which the sink needs nothing any more."`
	Gaps     int         `json:"gaps,omitempty" doc:"Stretches of the backlog behind which newer reports were delivered."`
	Backlog  SinkBacklog `json:"backlog"`
	Books    SinkBooks   `json:"books"`
}

// SinkBacklog is what waits for a sink.
type SinkBacklog struct {
	Reports uint64  `json:"reports" doc:"Entries of the spool: reports, and now and then a decision."`
	Bytes   int64   `json:"bytes" doc:"Of the spool, about."`
	Seconds float64 `json:"seconds" doc:"Age of the oldest."`
}

// SinkBooks are what became of reports at a sink.
type SinkBooks struct {
	Delivered   uint64 `json:"delivered" doc:"A report that was asked for again counts again."`
	Quarantined uint64 `json:"quarantined" doc:"Now. Of a record beside the system of record: see its own store."`
	Discarded   uint64 `json:"discarded" doc:"Given up by a person."`
	Dropped     uint64 `json:"dropped" doc:"Given up because the spool had no room for them, or lost them."`
	Refed       uint64 `json:"fed_again" doc:"Entries delivered again because the record came back without them."`
}

// Replayed tells what is delivered once more.
type Replayed struct {
	From uint64 `json:"from" doc:"Position of the spool."`
}

// list answers GET /v1/sinks.
func (s *sinks) list(c *web.Call) error {
	if !c.Who.Scope.Covers("*") {
		return penstock.Errorf(penstock.Forbidden, "The sinks are shown to a scope of *, and the credential %s has a narrower one.", c.Who.Credential)
	}
	return c.JSON(http.StatusOK, SinkList{s.sinks.Sinks()})
}

// act answers a request that does something to a sink.
func (s *sinks) act(done string, do func(Sinks, string) error) func(*web.Call) error {
	return func(c *web.Call) error {
		name := c.R.PathValue("name")
		if err := c.Covers("*"); err != nil {
			return err
		}
		if err := do(s.sinks, name); err != nil {
			return err
		}
		c.Log().Info("a sink was "+done, "sink", name, "by", c.Who.Credential, "peer", c.R.RemoteAddr)
		c.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// replay answers POST /v1/sinks/{name}/replay.
func (s *sinks) replay(c *web.Call) error {
	name := c.R.PathValue("name")
	if err := c.Covers("*"); err != nil {
		return err
	}
	since, err := time.Parse(time.RFC3339, c.Value("since"))
	if err != nil {
		return penstock.Errorf(penstock.Invalid, "since: %.60q is not a time as in 2026-01-01T12:00:00Z", c.Value("since"))
	}
	from, err := s.sinks.Replay(name, since)
	if err != nil {
		return err
	}
	c.Log().Info("a sink is replayed", "sink", name, "since", since, "from", from, "by", c.Who.Credential, "peer", c.R.RemoteAddr)
	return c.JSON(http.StatusOK, Replayed{from})
}
