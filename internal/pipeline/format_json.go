package pipeline

import (
	"sync"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/reportjson"
	"github.com/penstock/penstock/link"
)

// The media types of reports in JSON.
const (
	JSONType   = "application/json"     // a report, or an array of reports: taken whole or not at all
	NDJSONType = "application/x-ndjson" // a report a line, each judged by itself
)

// StandardFormats returns the formats that need no configuration, by media type.
func StandardFormats() map[string]Format {
	return map[string]Format{
		JSONType:       jsonFormat(decodeJSON),
		NDJSONType:     jsonFormat(decodeLines),
		link.MediaType: BinaryFormat(),
	}
}

func jsonFormat(decode func(*reportjson.Decoder, []byte, *Batch) error) Format {
	decoders := sync.Pool{New: func() any { return new(reportjson.Decoder) }}
	return Format{Literal: true, Decode: func(body []byte, b *Batch) error {
		d := decoders.Get().(*reportjson.Decoder)
		err := decode(d, body, b)
		decoders.Put(d) // not after a panic: who knows what it remembers
		return err
	}}
}

func decodeJSON(d *reportjson.Decoder, body []byte, b *Batch) error {
	reports, err := d.Decode(body, b.parsed[:0])
	b.parsed = reports
	if err != nil {
		return err
	}
	b.Grow(len(reports))
	for i := range reports {
		if err := b.Add(&reports[i], nil); err != nil {
			return err
		}
	}
	return nil
}

func decodeLines(d *reportjson.Decoder, body []byte, b *Batch) error {
	for number, line := range reportjson.Lines(body) {
		r := b.Report()
		err := d.DecodeLine(line, r)
		if err == nil {
			err = b.Add(r, nil)
		} else {
			err = b.Refuse(penstock.Errorf(penstock.CodeOf(err), "line %d: %w", number, err))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
