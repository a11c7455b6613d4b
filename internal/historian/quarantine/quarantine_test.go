package quarantine_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian/quarantine"
)

func FuzzQuarantine(f *testing.F) {
	const noon = 1_700_000_000e9
	r := &penstock.Report{Controller: "pump-17", Identity: penstock.KeyIdentity("k")}
	r.Samples = append(r.Samples, penstock.Sample{Point: "flow", SourceTime: noon, Value: penstock.FloatValue(1)}, penstock.Sample{Value: penstock.TextValue("on"), Native: math.MaxUint32, Status: math.MaxUint32},
		penstock.Sample{Value: penstock.BitsValue(9, math.MaxUint64), SourceTime: math.MinInt64})
	f.Add(quarantine.Append(nil, quarantine.Report{Reason: "why", Held: true, Tries: 3, First: noon, Last: noon + 1, Report: r}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		q, ok := quarantine.Read(b)
		if !ok {
			return
		}
		once := quarantine.Append(nil, q)
		again, ok := quarantine.Read(once)
		if !ok || !bytes.Equal(quarantine.Append(nil, again), once) {
			t.Fatalf("%+v became %+v", q, again)
		}
	})
}
