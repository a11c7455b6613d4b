package bodies

import (
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// NewReport returns a report with a number of readings.
func NewReport(controller string, readings int, epoch uint64) penstock.Report {
	r := penstock.Report{Controller: controller, Identity: penstock.SequenceIdentity(epoch, 0)}
	for i := range readings {
		r.Samples = append(r.Samples, penstock.Sample{Point: pointName(i)})
	}
	return r
}

// Refresh gives a report its next seq, times that end at now and new values.
func Refresh(r *penstock.Report, now, noise uint64) {
	r.Identity.Seq++
	for i := range r.Samples {
		r.Samples[i].SourceTime = int64(timeOf(i, len(r.Samples), now))
		r.Samples[i].Value = penstock.FloatValue(float64(tenthsOf(i, noise)) / 10)
	}
}

// Binary returns a maker of bodies of one report in the binary format.
func Binary(connection, readings int, epoch uint64) Maker {
	begin := func(controller string) penstock.Report { return NewReport(controller, readings, epoch) }
	return inTurn(connection, begin, func(dst []byte, r *penstock.Report, now, noise uint64) []byte {
		Refresh(r, now, noise)
		return link.AppendReport(dst, r)
	})
}

// Decoder returns a decoder of bodies of one binary report.
func Decoder() func([]byte) (int, error) {
	var d link.Decoder
	var r penstock.Report
	return func(body []byte) (int, error) {
		_, err := d.Decode(body, &r)
		return len(r.Samples), err
	}
}
