package pipeline

import (
	"fmt"
	"sync"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// BinaryFormat returns the format of package link.
func BinaryFormat() Format {
	decoders := sync.Pool{New: func() any { return new(link.Decoder) }}
	return Format{Decode: func(body []byte, b *Batch) error {
		d := decoders.Get().(*link.Decoder)
		if err := decodeBinary(d, body, b); err != nil {
			return err
		}
		decoders.Put(d)
		return nil
	}}
}

// decodeBinary refuses a report alone as long as it is known where the next one
// begins.
func decodeBinary(d *link.Decoder, body []byte, b *Batch) error {
	for at := 0; at < len(body); {
		r := new(penstock.Report)
		rest, err := d.Decode(body[at:], r)
		next := len(body) - len(rest)
		switch {
		case err == nil:
			err = b.Add(r, body[at:next])
		case rest != nil:
			err = b.Refuse(fmt.Sprintf("report %d, which begins at byte %d: %v", len(b.items)+1, at, err))
		default:
			err = penstock.Errorf(penstock.CodeOf(err), "report %d, which begins at byte %d: %w", len(b.items)+1, at, err)
		}
		if err != nil {
			return err
		}
		at = next
	}
	return nil
}
