package script

import (
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// No answer of a script does harm, and what comes of one can be kept.
func FuzzAnswer(f *testing.F) {
	f.Add(`{"o":[0,{"i":1,"p":"a","k":"n","v":1.5,"u":"m","s":"Good","y":"int64","h":true,"g":false}]}`)
	f.Add(`{"o":[{"p":"b","k":"i","v":"18446744073709551615","t":"5"},{"p":"c","k":"f","v":"-0","t":""}],"k":"{}"}`)
	f.Add(`{"o":[7,-1,{"i":9}],"l":[["warn","x"]],"m":3}`)
	f.Add(`{"c":[{"i":1,"k":"b","v":false,"h":true,"n":7},{"i":0,"u":"m","s":"BadTimeout"}]}`)
	f.Add(`{"d":true}`)
	f.Fuzz(func(t *testing.T, text string) {
		r := &penstock.Report{Controller: "pump-1", Identity: penstock.SequenceIdentity(1, 1), Samples: []penstock.Sample{
			{Point: "flow", SourceTime: 5, Value: penstock.FloatValue(1)}, {Point: "on", SourceTime: 6, Value: penstock.BoolValue(true)},
		}}
		a, err := parseAnswer(text)
		if err != nil {
			return
		}
		samples, err := a.apply(r)
		if err != nil || len(samples) == 0 {
			return
		}
		r.Samples = samples
		if err := link.Check(r); err != nil {
			t.Errorf("%v: %+v", err, samples)
		}
	})
}
