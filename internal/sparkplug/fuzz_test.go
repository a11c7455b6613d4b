package sparkplug_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/sparkplug"
	"github.com/penstock/penstock/link"
)

// Whatever comes, every message is decided once, every report can be written, and
// all ends with nothing held.
func FuzzHost(f *testing.F) {
	birth := message(ms(0), 0, bdSeq(7), named("temp", tDouble).alias(1).double(20).quality(192), named("n", tInt8).whole(0xfb))
	f.Add(bytes.Join([][]byte{append([]byte{0}, birth...), append([]byte{2}, message(ms(1), 1, alias(1).double(21))...)}, []byte("|||")))
	f.Add(bytes.Join([][]byte{append([]byte{3}, birth...), append([]byte{5}, message(ms(1), 9, alias(1).null())...), append([]byte{4}, message(ms(2), 4)...), {1}}, []byte("|||")))
	kinds := []string{"NBIRTH/gw", "NDEATH/gw", "NDATA/gw", "DBIRTH/gw/d", "DDEATH/gw/d", "DDATA/gw/d", "NCMD/gw", "NDATA/gw2"}
	f.Fuzz(func(t *testing.T, script []byte) {
		h, err := sparkplug.NewHost(sparkplug.Config{Rebirth: []string{"g/gw"}, Metrics: 50})
		if err != nil {
			t.Fatal(err)
		}
		open := map[uint64]bool{}
		check := func(r sparkplug.Result) {
			for _, d := range r.Decided {
				if !open[d.Token] {
					t.Fatalf("message %d was decided twice", d.Token)
				}
				delete(open, d.Token)
				for i := range d.Reports {
					if err := link.Check(&d.Reports[i]); err != nil {
						t.Fatalf("%v: %+v", err, d.Reports[i])
					}
				}
			}
		}
		now := noon
		for i, step := range bytes.Split(script, []byte("|||")) {
			if len(step) == 0 {
				now = now.Add(3 * time.Second)
				check(h.Tick(now))
				continue
			}
			open[uint64(i)] = true
			check(h.Step(now, sparkplug.Message{Token: uint64(i), Topic: "spBv1.0/g/" + kinds[int(step[0])%len(kinds)], Payload: step[1:]}))
		}
		check(h.Reconnected(now))
		if len(open) > 0 {
			t.Fatalf("%d messages were never decided", len(open))
		}
	})
}
