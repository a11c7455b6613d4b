package historian_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/historian"
)

func FuzzQuarantine(f *testing.F) {
	r := flow(penstock.KeyIdentity("k"), start, 1)
	r.Samples = append(r.Samples, penstock.Sample{Value: penstock.TextValue("on"), Native: math.MaxUint32, Status: math.MaxUint32},
		penstock.Sample{Value: penstock.BitsValue(9, math.MaxUint64), SourceTime: math.MinInt64})
	f.Add(historian.AppendQuarantined(historian.QuarantinedReport{Reason: "why", Time: start, Report: r}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		q, ok := historian.ReadQuarantined(b)
		if !ok {
			return
		}
		once := historian.AppendQuarantined(q)
		again, ok := historian.ReadQuarantined(once)
		if !ok || !bytes.Equal(historian.AppendQuarantined(again), once) {
			t.Fatalf("%+v became %+v", q, again)
		}
	})
}
