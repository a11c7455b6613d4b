package settings

import (
	"slices"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/framing"
	"github.com/penstock/penstock/internal/mapping"
)

// Payload is a payload that is tried without a gateway: by a mapping, or as the
// stream of a source that takes frames.
type Payload struct {
	Mapping  string
	Source   string
	Envelope penstock.Envelope
}

// Tried is what would become of a part of a payload.
type Tried struct {
	mapping.Decoded
	Part []byte // what could not be read, where Err says why
}

// Try calls each with what would become of the payload, in order. Its error is
// that of a name that the configuration does not have, or of each.
func (c *Config) Try(p Payload, each func(Tried) error) error {
	if p.Source == "" {
		return c.tryBody(p.Mapping, &p.Envelope, each)
	}
	i := slices.IndexFunc(c.Sources, func(s Source) bool { return s.Name == p.Source && s.Framed != nil })
	if i < 0 {
		return penstock.Errorf(penstock.NotFound, "no source %q takes frames", p.Source)
	}
	settings := c.Sources[i].Framed
	p.Envelope.Source = p.Source
	if settings.Framing == nil {
		return c.tryBody(settings.Mapping, &p.Envelope, each)
	}
	framer, err := framing.New(*settings.Framing)
	if err != nil {
		return err
	}
	var failed error
	stream := p.Envelope.Body
	take := func(f framing.Frame) {
		if failed != nil {
			return
		}
		if f.Event != evidence.Received {
			failed = each(Tried{Part: f.Bytes, Decoded: mapping.Decoded{Err: penstock.Errorf(penstock.Corrupt, "%s: %s", f.Event, f.Why)}})
			return
		}
		p.Envelope.Body = f.Body
		failed = c.tryBody(settings.Mapping, &p.Envelope, each)
	}
	framer.Feed(stream, take)
	framer.Idle(take)
	if n := framer.Pending(); n > 0 && failed == nil {
		failed = each(Tried{Part: stream[len(stream)-n:], Decoded: mapping.Decoded{Err: penstock.Errorf(penstock.Corrupt, "the stream ends before a frame does")}})
	}
	return failed
}

// tryBody decodes one body.
func (c *Config) tryBody(name string, e *penstock.Envelope, each func(Tried) error) error {
	if err := c.checkMapping(name); err != nil {
		return err
	}
	m, err := mapping.New(name, c.Mappings[name])
	if err != nil {
		return err
	}
	var failed error
	err = m.Decode(e, func(d mapping.Decoded) error {
		failed = each(Tried{Decoded: d})
		return failed
	})
	if failed != nil || err == nil {
		return failed
	}
	return each(Tried{Part: e.Body, Decoded: mapping.Decoded{Err: err}})
}
