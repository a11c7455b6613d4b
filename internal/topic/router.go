package topic

import (
	"slices"
	"strconv"
	"strings"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// What payloads can be. Any other word is the name of a declared mapping.
const (
	Reports   = "report"    // reports in JSON
	Binary    = "binary"    // reports in the binary encoding of package link
	Value     = "value"     // a single value: the topic names controller and point
	Sparkplug = "sparkplug" // Sparkplug B: the adapter hands it to package sparkplug
)

// jsonType is the media type under which the pipeline decodes [Reports].
const jsonType = "application/json"

// Route is the configuration of what comes under some topics.
type Route struct {
	Topic      string `yaml:"topic" jsonschema_description:"topics that are taken, with names for what they hold: plant/{controller}/{point...}"`
	Payload    string `yaml:"payload,omitempty" jsonschema_description:"what a message holds: report (reports in JSON; the default), binary (reports in binary), value (a single value), sparkplug, or the name of a mapping"`
	Type       string `yaml:"type,omitempty" jsonschema_description:"payload value: float64 (the default), int64, uint64, bool or text"`
	Controller string `yaml:"controller,omitempty" jsonschema_description:"the controller's name, from the names in the topic: {site}:{unit}; {controller} when left out"`
	Point      string `yaml:"point,omitempty" jsonschema_description:"payload value: the point's name, from the names in the topic; {point} when left out"`
}

// Router finds out what a topic's messages are. It is safe for concurrent use.
type Router struct{ routes []route }

type route struct {
	pattern    Pattern
	payload    string
	kind       penstock.Kind
	named      bool // the topic names the controller
	controller Template
	point      Template
}

// NewRouter returns a router of the routes; the first that matches holds. Errors
// have code [penstock.Invalid] and name the route.
func NewRouter(routes []Route, d Dialect) (*Router, error) {
	r := &Router{}
	for _, c := range routes {
		compiled, err := compile(c, d)
		if err != nil {
			return nil, err
		}
		r.routes = append(r.routes, compiled)
	}
	return r, nil
}

func compile(c Route, d Dialect) (route, error) {
	pattern, err := ParsePattern(c.Topic, d)
	if err != nil {
		return route{}, err
	}
	refuse := func(key string, err error) (route, error) {
		return route{}, penstock.Errorf(penstock.Invalid, "topic %q: %s: %w", c.Topic, key, err)
	}
	r := route{pattern: pattern, payload: c.Payload, kind: penstock.Float64}
	if r.payload == "" {
		r.payload = Reports
	}
	if c.Type != "" {
		kind, ok := penstock.ParseKind(c.Type)
		if !ok || kind == penstock.None {
			return refuse("type", penstock.Errorf(penstock.Invalid, "%q is none of float64, int64, uint64, bool and text", c.Type))
		}
		r.kind = kind
	}
	if (c.Type != "" || c.Point != "") && r.payload != Value {
		return refuse("payload", penstock.Errorf(penstock.Invalid, "type and point go with payload: value; %q says them itself", r.payload))
	}
	if r.named, err = r.name(&r.controller, c.Controller, "controller"); err != nil {
		return refuse("controller", err)
	}
	named, err := r.name(&r.point, c.Point, "point")
	if err != nil {
		return refuse("point", err)
	}
	if r.payload == Value && !(r.named && named) {
		return refuse("payload", penstock.Errorf(penstock.Invalid, "for a single value the topic must name {controller} and {point}, or controller and point must be set"))
	}
	return r, nil
}

// name compiles the template for a name, by default the topic's level of that
// name, and tells whether there is one.
func (r *route) name(t *Template, text, level string) (bool, error) {
	if text == "" {
		if !slices.Contains(r.pattern.Names(), level) {
			return false, nil
		}
		text = "{" + level + "}"
	}
	var err error
	*t, err = ParseTemplate(text, r.pattern.Names()...)
	return true, err
}

// Filters returns what to subscribe to, each filter once.
func (r *Router) Filters() []string {
	var filters []string
	for i := range r.routes {
		if f := r.routes[i].pattern.Filter(); !slices.Contains(filters, f) {
			filters = append(filters, f)
		}
	}
	return filters
}

// Has tells whether a route takes such payloads.
func (r *Router) Has(payload string) bool {
	return slices.ContainsFunc(r.routes, func(c route) bool { return c.payload == payload })
}

// Mappings returns the names of the mappings that the routes use, sorted, each
// once.
func (r *Router) Mappings() []string {
	var names []string
	for i := range r.routes {
		switch p := r.routes[i].payload; p {
		case Reports, Binary, Value, Sparkplug:
		default:
			names = append(names, p)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Match is what a topic tells of its messages.
type Match struct {
	Payload    string // see [Route]
	Controller string // empty when the topic names none
	Point      string // for a single value
	kind       penstock.Kind
}

// Match finds the route of a topic, and false when none takes it.
func (r *Router) Match(topic string) (Match, bool) {
	for i := range r.routes {
		c := &r.routes[i]
		values, ok := c.pattern.Match(topic)
		if !ok {
			continue
		}
		m := Match{Payload: c.payload, kind: c.kind}
		if c.named {
			m.Controller = c.controller.Expand(c.pattern.names, values)
		}
		if c.payload == Value {
			m.Point = c.point.Expand(c.pattern.names, values)
		}
		return m, true
	}
	return Match{}, false
}

// The names under which a sender gives an identity beside the payload, as user
// properties of MQTT 5 or headers of AMQP.
const (
	EpochName = "epoch"
	SeqName   = "seq"
	KeyName   = "key"
)

// Beside is the identity that came beside a payload; all of it may be empty.
type Beside struct{ Epoch, Seq, Key string }

// Identity returns the identity; natural when there is nothing. Errors have code
// [penstock.Invalid].
func (b Beside) Identity() (penstock.Identity, error) {
	switch {
	case b.Epoch != "" || b.Seq != "":
		epoch, err := strconv.ParseUint(b.Epoch, 10, 64)
		seq, err2 := strconv.ParseUint(b.Seq, 10, 64)
		if err != nil || err2 != nil {
			return penstock.Identity{}, penstock.Errorf(penstock.Invalid, "epoch %.40q and seq %.40q beside the payload are not two whole numbers", b.Epoch, b.Seq)
		}
		id := penstock.SequenceIdentity(epoch, seq)
		return id, id.Check()
	case b.Key != "":
		id := penstock.KeyIdentity(b.Key)
		return id, id.Check()
	}
	return penstock.Identity{}, nil
}

// Envelope returns the envelope of a message: its content type, body, key and
// time of receipt, in nanoseconds since 1970. The rest is the adapter's. The
// envelope may keep payload. Errors have code [penstock.Invalid] or
// [penstock.TooLarge] and say why the message can never be taken.
func (m Match) Envelope(payload []byte, beside Beside, received int64) (penstock.Envelope, error) {
	if m.Controller != "" {
		if err := penstock.CheckControllerName(m.Controller); err != nil {
			return penstock.Envelope{}, err
		}
	}
	id, err := beside.Identity()
	if err != nil {
		return penstock.Envelope{}, err
	}
	e := penstock.Envelope{ReceivedTime: received}
	switch m.Payload {
	case Value:
		e.ContentType = link.MediaType
		e.Body, err = m.report(payload, id, received)
		return e, err
	case Sparkplug:
		return penstock.Envelope{}, penstock.Errorf(penstock.Internal, "Sparkplug B needs the state of its edge node")
	case Binary:
		e.ContentType = link.MediaType
	case Reports:
		e.ContentType = jsonType
	default:
		e.ContentType = m.Payload
	}
	e.Body, e.Key = payload, id.Key
	if id.Form == penstock.Sequence {
		e.Key = id.String()
	}
	return e, nil
}

// report returns the encoding of a report with the one value.
func (m Match) report(payload []byte, id penstock.Identity, received int64) ([]byte, error) {
	value, status, err := parseValue(payload, m.kind)
	if err != nil {
		return nil, err
	}
	if err := penstock.CheckPointName(m.Point); err != nil {
		return nil, err
	}
	return link.AppendReport(nil, &penstock.Report{
		Controller: m.Controller,
		Identity:   id,
		Samples: []penstock.Sample{{
			Point: m.Point, SourceTime: received, Value: value, Status: status, Flags: penstock.GatewayClock,
		}},
	}), nil
}

// Scope returns what a message under the topic may speak for, of what the source
// may: the controller that the topic names, if it names one. A name that is not
// covered, or that would be taken for a pattern, gives an error of code
// [penstock.Forbidden].
func (m Match) Scope(all penstock.Scope) (penstock.Scope, error) {
	if m.Controller == "" {
		return all, nil
	}
	if strings.Contains(m.Controller, "*") || !all.Covers(m.Controller) {
		return nil, penstock.Errorf(penstock.Forbidden, "the topic names the controller %.130q, which the source does not speak for", m.Controller)
	}
	return penstock.Scope{m.Controller}, nil
}
