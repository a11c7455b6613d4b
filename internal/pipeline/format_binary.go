package pipeline

import (
	"sync"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// BinaryFormat returns the format of package link.
func BinaryFormat() Format {
	decoders := sync.Pool{New: func() any { return new(link.Decoder) }}
	return Format{Decode: func(body []byte, b *Batch) error {
		d := decoders.Get().(*link.Decoder)
		err := decodeBinary(d, body, b)
		decoders.Put(d) // not after a panic: who knows what it remembers
		return err
	}}
}

// decodeBinary refuses a report alone as long as it is known where the next one
// begins.
func decodeBinary(d *link.Decoder, body []byte, b *Batch) error {
	for at := 0; at < len(body); {
		r := b.Report()
		rest, err := d.Decode(body[at:], r)
		end := len(body) - len(rest)
		if err == nil {
			err = b.Add(r, body[at:end])
		} else {
			err = penstock.Errorf(penstock.CodeOf(err), "report %d, which begins at byte %d: %w", len(b.items)+1, at, err)
			if rest != nil {
				err = b.Refuse(err)
			}
		}
		if err != nil {
			return err
		}
		at = end
	}
	return nil
}
