// Package mappings holds the declared mappings of the configuration that is in force.
package mappings

import (
	"sync/atomic"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/mapping"
	"github.com/penstock/penstock/internal/pipeline"
)

// Set is the declared mappings of the configuration that holds now.
type Set struct {
	formats atomic.Pointer[map[string]pipeline.Format]
}

// Replace takes over the mappings of a configuration that was validated.
func (m *Set) Replace(declared map[string]mapping.Config) error {
	commit, err := m.Prepare(declared)
	if err == nil {
		commit()
	}
	return err
}

// Prepare compiles mappings, and returns what puts them to work.
func (m *Set) Prepare(declared map[string]mapping.Config) (commit func(), err error) {
	formats := make(map[string]pipeline.Format, len(declared))
	for name, c := range declared {
		compiled, err := mapping.New(name, c)
		if err != nil {
			return nil, penstock.Errorf(penstock.CodeOf(err), "mappings.%s: %w", name, err)
		}
		formats[name] = formatOf(compiled)
	}
	return func() { m.formats.Store(&formats) }, nil
}

// Format returns the format of a mapping.
func (m *Set) Format(name string) (pipeline.Format, bool) {
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
