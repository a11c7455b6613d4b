package pipeline

import (
	"slices"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/intake"
)

// Batch collects the reports of one body within the limits. It belongs to one
// envelope at a time: when that was admitted, its memory, with that of the reports
// that it gave out, serves another one.
type Batch struct {
	limits    DecodeConfig
	items     []intake.Item
	encodings [][]byte // of the items, nil where there is none
	samples   int
	envelope  *penstock.Envelope
	readings  []reading // what the reports tell of their links

	given  []*penstock.Report // by Report, the first used of them for this body
	used   int
	parsed []penstock.Report // of a decoder that fills a slice
}

// Envelope returns what the body came in, to be read only.
func (b *Batch) Envelope() *penstock.Envelope { return b.envelope }

// Signal takes what the last report that was added told of its link. It is noted
// as evidence once the report is accepted and durable.
func (b *Batch) Signal(q evidence.Quantity, value float64) {
	b.readings = append(b.readings, reading{report: len(b.items) - 1, quantity: q, value: value})
}

// Report returns an empty report to fill and to [Batch.Add]. It may have room for
// samples, to be used from r.Samples[:0].
func (b *Batch) Report() *penstock.Report {
	if b.used == len(b.given) {
		b.given = append(b.given, new(penstock.Report))
	}
	r := b.given[b.used]
	b.used++
	*r = penstock.Report{Samples: r.Samples[:0]}
	return r
}

// Add takes a report. Encoding is its canonical encoding, if that is at hand. An
// error of code [penstock.TooLarge] says that a limit is reached.
func (b *Batch) Add(r *penstock.Report, encoding []byte) error {
	b.samples += len(r.Samples)
	if b.samples > b.limits.MaxSamples {
		return penstock.Errorf(penstock.TooLarge, "the body holds more than %d samples: send it in parts", b.limits.MaxSamples)
	}
	return b.put(intake.Item{Report: r}, encoding)
}

// Grow makes room for n more reports, where their number is known before.
func (b *Batch) Grow(n int) {
	n = min(n, b.limits.MaxReports)
	b.items = slices.Grow(b.items, n)
	b.encodings = slices.Grow(b.encodings, n)
}

// Refuse takes the place of a report that cannot be read, for the cause given,
// while those around it can. It returns the errors of [Batch.Add].
func (b *Batch) Refuse(cause error) error {
	return b.put(intake.Item{
		Report: &penstock.Report{}, Reason: reasonOf(cause), Detail: decodeName + ": " + cause.Error(),
	}, nil)
}

// RefuseReport takes the place of a report that can be read and is refused all the same.
// It returns the errors of [Batch.Add].
func (b *Batch) RefuseReport(r *penstock.Report, reason penstock.Reason, detail string) error {
	return b.put(intake.Item{Report: r, Reason: reason, Detail: decodeName + ": " + detail}, nil)
}

func (b *Batch) put(item intake.Item, encoding []byte) error {
	if len(b.items) >= b.limits.MaxReports {
		return penstock.Errorf(penstock.TooLarge, "the body holds more than %d reports: send it in parts", b.limits.MaxReports)
	}
	b.items = append(b.items, item)
	b.encodings = append(b.encodings, encoding)
	return nil
}

// What a batch keeps between bodies at most; a larger one begins anew.
const (
	keptReports = 1 << 8
	keptSamples = 1 << 12
)

// reset empties the batch for another body. Nothing that it gave out may be used
// any more; to find whoever does, it is overwritten and not only forgotten.
func (b *Batch) reset() {
	if !b.keepable() {
		*b = Batch{}
		return
	}
	for _, r := range b.given[:b.used] {
		wipe(r)
	}
	for i := range b.parsed {
		wipe(&b.parsed[i])
	}
	clear(b.items)
	clear(b.encodings)
	*b = Batch{items: b.items[:0], encodings: b.encodings[:0], readings: b.readings[:0], given: b.given, parsed: b.parsed[:0]}
}

// keepable tells whether the batch is small enough to be kept.
func (b *Batch) keepable() bool {
	all := b.parsed[:cap(b.parsed)]
	if max(cap(b.items), cap(b.readings), len(b.given)+len(all)) > keptReports {
		return false
	}
	samples := 0
	for _, r := range b.given {
		samples += cap(r.Samples)
	}
	for i := range all {
		samples += cap(all[i].Samples)
	}
	return samples <= keptSamples
}

// wipe empties a report but for the room of its samples.
func wipe(r *penstock.Report) {
	clear(r.Samples) // their texts may be long
	*r = penstock.Report{Samples: r.Samples[:0]}
	spoil(r)
}
