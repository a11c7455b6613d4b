package pipeline

import (
	"sync"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// maxClockAhead is how far the clock of a gateway that forwards may be ahead of this
// one's.
const maxClockAhead = 24 * time.Hour

// forwardedFormat returns the format in which another gateway hands on its reports:
// that of package link, with the time when it received each. Whole numbers may have
// come to it without a type, so they widen here as they do there.
func forwardedFormat() Format {
	decoders := sync.Pool{New: func() any { return new(link.Decoder) }}
	return Format{Literal: true, Received: true, Decode: func(body []byte, b *Batch) error {
		d := decoders.Get().(*link.Decoder)
		err := decodeForwarded(d, body, b)
		decoders.Put(d) // not after a panic: who knows what it remembers
		return err
	}}
}

// decodeForwarded refuses a report alone as long as it is known where the next one
// begins.
func decodeForwarded(d *link.Decoder, body []byte, b *Batch) error {
	reports, err := link.CutForwarded(body)
	if err != nil {
		return err
	}
	latest := b.envelope.ReceivedTime + int64(maxClockAhead)
	for at := reports; len(at) > 0; {
		r := b.Report()
		rest, err := d.DecodeForwarded(at, r)
		switch {
		case err != nil:
			err = penstock.Errorf(penstock.CodeOf(err), "report %d, which begins at byte %d: %w", len(b.items)+1, len(body)-len(at), err)
			if rest != nil {
				err = b.Refuse(err)
			}
		case r.ReceivedTime <= 0 || r.ReceivedTime > latest:
			err = b.refuseReport(r, penstock.ReasonTime, "the gateway that forwards says that it received this report at "+timeText(r.ReceivedTime)+", which cannot be true: look at its clock")
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
