package link_test

import (
	"bytes"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// Whatever can be read of a forwarded body is written the same.
func FuzzForwarded(f *testing.F) {
	r := &penstock.Report{Controller: "pump-1", Identity: penstock.SequenceIdentity(1, 2), ReceivedTime: -3, Samples: []penstock.Sample{{Point: "a", Value: penstock.IntValue(1)}}}
	f.Add(link.AppendForwarded(link.AppendForwarded(link.BeginForwarded(nil), r), r))
	f.Add([]byte{1, 0, 1, 2, 3})
	f.Add([]byte{2, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		rest, err := link.CutForwarded(body)
		if err != nil {
			return
		}
		again := link.BeginForwarded(nil)
		var d link.Decoder
		for len(rest) > 0 {
			var r penstock.Report
			before := rest
			if rest, err = d.DecodeForwarded(before, &r); err != nil {
				return
			}
			if len(rest) >= len(before) {
				t.Fatal("it reads on and on")
			}
			again = link.AppendForwarded(again, &r)
		}
		if !bytes.Equal(again, body) {
			t.Errorf("%x was read, and %x written", body, again)
		}
	})
}
