package app

import (
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/ingest"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/lineprotocol"
	"github.com/penstock/penstock/internal/pipeline"
	"github.com/penstock/penstock/internal/pipeline/forwarded"
	"github.com/penstock/penstock/link"
)

// formats returns the ways to write reports that the configuration knows.
func formats(c settings.Config) (map[string]pipeline.Format, error) {
	all := pipeline.StandardFormats()
	all[link.ForwardedType] = forwarded.Format()
	for _, precision := range lineprotocol.Precisions() {
		d, err := lineprotocol.New(c.Lines, precision)
		if err != nil {
			return nil, penstock.Errorf(penstock.Invalid, "line_protocol: %w", err)
		}
		all[ingest.LineFormat(precision)] = pipeline.Format{
			Decode: func(body []byte, b *pipeline.Batch) error { return d.Decode(body, b) },
		}
	}
	return all, nil
}
