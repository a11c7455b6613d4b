package bodies

import (
	"fmt"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// NewReport returns a report with a number of readings.
func NewReport(controller string, readings int, epoch uint64) penstock.Report {
	r := penstock.Report{Controller: controller, Identity: penstock.SequenceIdentity(epoch, 0)}
	for i := range readings {
		r.Samples = append(r.Samples, penstock.Sample{Point: fmt.Sprintf("line-%02d/flow", i%pointsEach)})
	}
	return r
}

// Refresh gives a report its next seq, times that end at now and new values.
func Refresh(r *penstock.Report, now, noise uint64) {
	r.Identity.Seq++
	for i := range r.Samples {
		r.Samples[i].SourceTime = int64(now) - int64(len(r.Samples)-i)*1000
		r.Samples[i].Value = penstock.FloatValue(float64(1000+(noise+uint64(i)*7)%9000) / 10)
	}
}

// Binary returns a maker of bodies of one report in the binary format.
func Binary(connection, readings int, epoch uint64) Maker {
	reports := make([]penstock.Report, ControllersEach)
	for i := range reports {
		reports[i] = NewReport(fmt.Sprintf("bench-%03d-%03d", connection, i), readings, epoch)
	}
	var n, noise uint64
	return func(dst []byte) []byte {
		r := &reports[n%ControllersEach]
		n++
		noise = noise*6364136223846793005 + 1442695040888963407
		Refresh(r, uint64(time.Now().UnixNano()), noise>>33)
		return link.AppendReport(dst, r)
	}
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
