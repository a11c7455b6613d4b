package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// newReport returns a report with a number of readings.
func newReport(controller string, readings int, epoch uint64) penstock.Report {
	r := penstock.Report{Controller: controller, Identity: penstock.SequenceIdentity(epoch, 0)}
	for i := range readings {
		r.Samples = append(r.Samples, penstock.Sample{Point: fmt.Sprintf("line-%02d/flow", i%pointsEach)})
	}
	return r
}

// refresh gives a report its next seq, times that end at now and new values.
func refresh(r *penstock.Report, now, noise uint64) {
	r.Identity.Seq++
	for i := range r.Samples {
		r.Samples[i].SourceTime = int64(now) - int64(len(r.Samples)-i)*1000
		r.Samples[i].Value = penstock.FloatValue(float64(1000+(noise+uint64(i)*7)%9000) / 10)
	}
}

// binaryBodies returns a maker of bodies of one report in the binary format.
func binaryBodies(connection, readings int, epoch uint64) bodyMaker {
	reports := make([]penstock.Report, controllersEach)
	for i := range reports {
		reports[i] = newReport(fmt.Sprintf("bench-%03d-%03d", connection, i), readings, epoch)
	}
	var n, noise uint64
	return func(dst []byte) []byte {
		r := &reports[n%controllersEach]
		n++
		noise = noise*6364136223846793005 + 1442695040888963407
		refresh(r, uint64(time.Now().UnixNano()), noise>>33)
		return link.AppendReport(dst, r)
	}
}

// measureDecoder returns how many readings a second decode takes out of bodies
// on one processor.
func measureDecoder(body bodyMaker, readings int, length time.Duration, decode func([]byte) (int, error)) (float64, error) {
	bodies := make([][]byte, 256)
	for i := range bodies {
		bodies[i] = body(nil)
	}
	started, count := time.Now(), 0
	for n := 0; time.Since(started) < length; n++ {
		got, err := decode(bodies[n%len(bodies)])
		if err != nil {
			return 0, err
		}
		if got != readings {
			return 0, errors.New("the decoder lost a reading")
		}
		count += got
	}
	return float64(count) / time.Since(started).Seconds(), nil
}

// binaryDecoder returns a decoder of bodies of one binary report.
func binaryDecoder() func([]byte) (int, error) {
	var d link.Decoder
	var r penstock.Report
	return func(body []byte) (int, error) {
		_, err := d.Decode(body, &r)
		return len(r.Samples), err
	}
}
