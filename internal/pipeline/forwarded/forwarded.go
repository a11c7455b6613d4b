// Package forwarded is the format in which another gateway hands on its reports.
package forwarded

import (
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/pipeline"
	"github.com/penstock/penstock/link"
)

// maxClockAhead is how far the clock of a gateway that forwards may be ahead of this
// one's.
const maxClockAhead = 24 * time.Hour

// Format returns the format: that of package link, with the time when the other gateway
// received each report. Whole numbers may have come to it without a type, so they widen
// here as they do there.
func Format() pipeline.Format {
	decoders := sync.Pool{New: func() any { return new(link.Decoder) }}
	return pipeline.Format{Literal: true, Received: true, Decode: func(body []byte, b *pipeline.Batch) error {
		d := decoders.Get().(*link.Decoder)
		err := decode(d, body, b)
		decoders.Put(d) // not after a panic: who knows what it remembers
		return err
	}}
}

// decode refuses a report alone as long as it is known where the next one
// begins.
func decode(d *link.Decoder, body []byte, b *pipeline.Batch) error {
	reports, err := link.CutForwarded(body)
	if err != nil {
		return err
	}
	latest := b.Envelope().ReceivedTime + int64(maxClockAhead)
	for at := reports; len(at) > 0; {
		r := b.Report()
		rest, err := d.DecodeForwarded(at, r)
		switch {
		case err != nil:
			err = penstock.Errorf(penstock.CodeOf(err), "the report that begins at byte %d: %w", len(body)-len(at), err)
			if rest != nil {
				err = b.Refuse(err)
			}
		case r.ReceivedTime <= 0 || r.ReceivedTime > latest:
			err = b.RefuseReport(r, penstock.ReasonTime, "the gateway that forwards says that it received this report at "+time.Unix(0, r.ReceivedTime).UTC().Format(time.RFC3339)+", which cannot be true: look at its clock")
		default:
			err = b.Add(r, at[link.ReceivedSize:len(at)-len(rest)])
		}
		if err != nil {
			return err
		}
		at = rest
	}
	return nil
}
