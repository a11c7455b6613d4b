package app

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/mapping"
	"github.com/penstock/penstock/internal/pipeline"
	"github.com/penstock/penstock/internal/suggest"
)

// mappings are the declared mappings of the configuration that holds now.
type mappings struct {
	formats atomic.Pointer[map[string]pipeline.Format]
}

// replace takes over the mappings of a configuration that was validated.
func (m *mappings) replace(declared map[string]mapping.Config) error {
	formats := make(map[string]pipeline.Format, len(declared))
	for name, c := range declared {
		compiled, err := mapping.New(name, c)
		if err != nil {
			return penstock.Errorf(penstock.CodeOf(err), "mappings.%s: %w", name, err)
		}
		formats[name] = formatOf(compiled)
	}
	m.formats.Store(&formats)
	return nil
}

// format returns the format of a mapping.
func (m *mappings) format(name string) (pipeline.Format, bool) {
	formats := m.formats.Load()
	if formats == nil {
		return pipeline.Format{}, false
	}
	f, ok := (*formats)[name]
	return f, ok
}

// formatOf makes a mapping a format of the pipeline.
func formatOf(m *mapping.Mapping) pipeline.Format {
	return pipeline.Format{Literal: m.Literal(), Decode: func(_ []byte, b *pipeline.Batch) error {
		return m.Decode(b.Envelope(), func(d mapping.Decoded) error {
			if d.Err != nil {
				return b.Refuse(d.Err)
			}
			if err := b.Add(d.Report, nil); err != nil {
				return err
			}
			for _, s := range d.Signals {
				b.Signal(s.Quantity, s.Value)
			}
			return nil
		})
	}}
}

// checkMappings returns what is wrong with the names of mappings, where they are
// declared and where they are used. What is wrong inside of them they say
// themselves.
func (c *Config) checkMappings() []error {
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(c.Mappings)) {
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" || len(name) > penstock.MaxName {
			problems = append(problems, penstock.Errorf(penstock.Invalid,
				"mappings.%.40s: is no name of a mapping: small letters, digits, - and _ only", name))
		}
	}
	for i := range c.Sources {
		for _, k := range c.Sources[i].chosen() {
			uses, ok := k.config.(interface{ Mappings() []string })
			if !ok {
				continue
			}
			for _, name := range uses.Mappings() {
				if err := c.checkMapping(name); err != nil {
					problems = append(problems, penstock.Errorf(penstock.Invalid, "sources[%d].%s: %w", i, k.name, err))
				}
			}
		}
	}
	for _, name := range c.MQTT.Mappings() {
		if err := c.checkMapping(name); err != nil {
			problems = append(problems, penstock.Errorf(penstock.Invalid, "mqtt.topics: %w", err))
		}
	}
	return problems
}

// checkMapping returns an error when no mapping has the name.
func (c *Config) checkMapping(name string) error {
	if _, ok := c.Mappings[name]; ok {
		return nil
	}
	names := slices.Sorted(maps.Keys(c.Mappings))
	if near := suggest.Nearest(name, names); near != "" {
		return penstock.Errorf(penstock.Invalid, "there is no mapping %.40q; did you mean %s?", name, near)
	}
	return penstock.Errorf(penstock.Invalid, "there is no mapping %.40q: declare it under mappings", name)
}
