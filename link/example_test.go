package link_test

import (
	"fmt"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
)

// A body is one report after another.
func Example() {
	var body []byte
	for seq := range uint64(2) {
		body = link.AppendReport(body, &penstock.Report{
			Controller: "pump-17",
			Identity:   penstock.SequenceIdentity(1, seq+1),
			Samples: []penstock.Sample{
				{Point: "flow", Unit: "m3/h", SourceTime: 1_795_327_200_000_000_000, Value: penstock.FloatValue(12.5)},
				{Point: "running", SourceTime: 1_795_327_200_000_000_000, Value: penstock.BoolValue(true)},
			},
		})
	}

	var decoder link.Decoder
	var report penstock.Report
	for len(body) > 0 {
		rest, err := decoder.Decode(body, &report)
		if err != nil {
			fmt.Println(err)
			return
		}
		encoded := body[:len(body)-len(rest)]
		fmt.Printf("%s %v: %d samples in %d bytes, fingerprint %016x\n",
			report.Controller, report.Identity, len(report.Samples), len(encoded), uint64(link.Fingerprint(encoded)))
		body = rest
	}
	// Output:
	// pump-17 1/1: 2 samples in 54 bytes, fingerprint 895d9c0dace66b80
	// pump-17 1/2: 2 samples in 54 bytes, fingerprint d0f1eb089cfa442b
}
