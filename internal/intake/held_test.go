package intake_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/intake"
)

// A report that a step sends to quarantine is accepted, keeps its reason in the log
// and is delivered with it, across a restart too, where it teaches nothing.
func TestReportForQuarantine(t *testing.T) {
	n := start(t)
	report := func(seq uint64) *penstock.Report {
		return &penstock.Report{
			Controller: "pump-1", Identity: penstock.SequenceIdentity(1, seq), Source: "test", Fingerprint: penstock.Fingerprint(seq),
			Samples: []penstock.Sample{{Point: "flow", SourceTime: 5, Value: penstock.FloatValue(1)}},
		}
	}
	long := strings.Repeat("ä", 2000)
	for _, v := range n.admit(
		intake.Item{Report: report(1), Trusted: true},
		intake.Item{Report: report(2), Trusted: true, Quarantine: "script: clean.js:3: no"},
		intake.Item{Report: report(3), Trusted: true, Quarantine: long},
	) {
		if v.Result != penstock.Accepted {
			t.Errorf("%+v", v)
		}
	}
	if v := n.admit(intake.Item{Report: report(2), Trusted: true}); v[0].Result != penstock.Duplicate {
		t.Errorf("the same report again: %+v", v)
	}
	n.restart()
	if len(n.again) != 1 || n.again[0] != "1/1" {
		t.Errorf("replayed %q", n.again)
	}
	if b := n.books("pump-1"); b.Waiting != 3 {
		t.Errorf("books %+v", b)
	}
	reader := n.log.NewReader(1)
	defer reader.Close()
	var reasons []string
	var decoder intake.Decoder
	for {
		records, err := reader.Next(10)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range records {
			_, r, err := decoder.Decode(rec.Data)
			if err != nil {
				t.Fatal(err)
			}
			if r == nil {
				continue
			}
			if r.Controller != "pump-1" || len(r.Samples) != 1 || r.Samples[0].Point != "flow" {
				t.Errorf("%+v", r)
			}
			reasons = append(reasons, intake.Quarantine(rec.Data))
		}
	}
	if len(reasons) != 3 || reasons[0] != "" || reasons[1] != "script: clean.js:3: no" || reasons[2] != strings.Repeat("ä", 512) {
		t.Errorf("%q", reasons)
	}
}

// No bytes in the place of an entry do harm, and what Quarantine finds Decode takes.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{3, 1, 'x', 1})
	f.Add([]byte{3, 0, 1})
	f.Add([]byte{3, 0xff, 0xff, 3, 1})
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var d intake.Decoder
		_, r, err := d.Decode(b)
		if err == nil && b[0] == 3 && (r == nil || intake.Quarantine(b) == "") {
			t.Errorf("report %v for quarantine without a reason", r)
		}
		if err != nil && penstock.CodeOf(err) == penstock.Internal {
			t.Errorf("%v has no code", err)
		}
	})
}
