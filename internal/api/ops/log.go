package ops

import (
	"net/http"
	"reflect"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/web"
)

// Log is the gateway's log.
type Log interface {
	// Levels returns the level of all components together, and of each that is
	// known, by name.
	Levels() (all string, components []Level)
	// SetLevel gives a component a level, or with an empty name all that have none
	// of their own. An empty level has a component follow that of all again. Its
	// errors have code NotFound for a component and Invalid for a level that is not
	// known.
	SetLevel(component, level string) error
	// Outputs returns how the outputs stand.
	Outputs() []Output
}

// Level is the level of a component.
type Level struct {
	Component string `json:"component"`
	Level     string `json:"level" enum:"debug,info,warn,error"`
	Own       bool   `json:"own,omitempty" doc:"It has a level of its own and does not follow that of all."`
}

// Output is how an output of the log stands.
type Output struct {
	Name    string `json:"name"`
	Kind    string `json:"kind" doc:"syslog+udp, syslog+tcp, syslog+tls, syslog+unix, journald, or the format of standard error."`
	State   string `json:"state" enum:"starting,ok,failing"`
	Since   string `json:"since"`
	Why     string `json:"why,omitempty"`
	Sent    uint64 `json:"sent" doc:"Lines that were handed over."`
	Queued  int    `json:"queued" doc:"Lines that wait."`
	Dropped uint64 `json:"dropped" doc:"Lines for which there was no room."`
}

// LogInfo is how the log stands.
type LogInfo struct {
	Level      string   `json:"level" enum:"debug,info,warn,error" doc:"Of all components that have none of their own."`
	Components []Level  `json:"components"`
	Outputs    []Output `json:"outputs"`
}

// NewLevel is the wish for a level.
type NewLevel struct {
	Component string `json:"component,omitempty" doc:"All that have no level of their own when absent."`
	Level     string `json:"level,omitempty" enum:"debug,info,warn,error" doc:"The component follows the level of all again when absent."`
}

func (p *Parts) logRoutes() []web.Route {
	return []web.Route{{
		Method: http.MethodGet, Path: "/v1/log", Access: web.Operator, Serve: p.log,
		Summary: "The levels of the log and the state of its outputs",
		Answer:  []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[LogInfo]()}},
	}, {
		Method: http.MethodPut, Path: "/v1/log/level", Access: web.Operator, Serve: p.setLevel,
		Summary: "Change a level of the log",
		Details: "It holds at once and until the gateway ends or reads its configuration again.",
		Body:    []web.Media{{Name: web.JSONType, Of: reflect.TypeFor[NewLevel]()}},
		Status:  []int{http.StatusNoContent},
	}}
}

// log answers GET /v1/log.
func (p *Parts) log(c *web.Call) error {
	all, components := p.Log.Levels()
	return c.JSON(http.StatusOK, LogInfo{Level: all, Components: components, Outputs: p.Log.Outputs()})
}

// setLevel answers PUT /v1/log/level.
func (p *Parts) setLevel(c *web.Call) error {
	var wish NewLevel
	if err := c.ReadJSON(&wish); err != nil {
		return err
	}
	if wish.Component == "" && wish.Level == "" {
		return penstock.Errorf(penstock.Invalid, "Say a level: debug, info, warn or error.")
	}
	if err := p.Log.SetLevel(wish.Component, wish.Level); err != nil {
		return err
	}
	c.Log().Warn("a level of the log was changed", "of", wish.Component, "level", wish.Level, "credential", c.Who.Credential)
	c.WriteHeader(http.StatusNoContent)
	return nil
}

// Moment returns a time as answers have it, empty for none.
func Moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
