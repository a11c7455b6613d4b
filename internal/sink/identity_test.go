package sink_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
)

func TestMessageID(t *testing.T) {
	long := strings.Repeat("k", penstock.MaxKey)
	for want, r := range map[string]*penstock.Report{
		"pump-17/3/17":        {Controller: "pump-17", Identity: penstock.SequenceIdentity(3, 17)},
		"pump-17/key:a/b":     {Controller: "pump-17", Identity: penstock.KeyIdentity("a/b")},
		"pump-17/natural:":    {Controller: "pump-17", Samples: []penstock.Sample{{Point: "flow", SourceTime: 1}}},
		"pump-17/sha256:":     {Controller: "pump-17", Identity: penstock.KeyIdentity(long)},
		"x/key:" + long[:249]: {Controller: "x", Identity: penstock.KeyIdentity(long[:249])},
	} {
		got := sink.MessageID(r)
		if whole := !strings.HasSuffix(want, ":"); whole && got != want || !strings.HasPrefix(got, want) {
			t.Errorf("%s %s has id %s, not %s", r.Controller, r.Identity, got, want)
		}
	}
}

// A report keeps its id when it is sent again, as historical and with other times of
// the gateway; two reports that differ in what identifies them have two.
func TestMessageIDTellsReportsApart(t *testing.T) {
	name := rapid.SampledFrom([]string{"a", "b", "a1", "key:1", "natural:", "1"})
	report := rapid.Custom(func(t *rapid.T) *penstock.Report {
		r := &penstock.Report{Controller: name.Draw(t, "controller"), Fingerprint: penstock.Fingerprint(rapid.Uint64Range(0, 1).Draw(t, "fingerprint"))}
		number := rapid.Uint64Range(1, 3)
		switch rapid.IntRange(0, 2).Draw(t, "form") {
		case 1:
			r.Identity = penstock.SequenceIdentity(number.Draw(t, "epoch"), number.Draw(t, "seq"))
		case 2:
			r.Identity = penstock.KeyIdentity(name.Draw(t, "key"))
		}
		for range rapid.IntRange(1, 3).Draw(t, "samples") {
			r.Samples = append(r.Samples, penstock.Sample{Point: name.Draw(t, "point"), SourceTime: int64(number.Draw(t, "time"))})
		}
		return r
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := report.Draw(t, "a"), report.Draw(t, "b")
		if same := alike(a, b); same != (sink.MessageID(a) == sink.MessageID(b)) {
			t.Fatalf("alike: %v, ids %s and %s", same, sink.MessageID(a), sink.MessageID(b))
		}
		other := *a
		other.Fingerprint++
		if (a.Identity.Form == penstock.Natural) == (sink.MessageID(&other) == sink.MessageID(a)) {
			t.Fatalf("%s with other content has id %s", sink.MessageID(a), sink.MessageID(&other))
		}
		before := sink.MessageID(a)
		a.AcceptedTime, a.ReceivedTime = a.AcceptedTime+1, a.ReceivedTime+1
		for i := range a.Samples {
			a.Samples[i].Flags |= penstock.Historical
		}
		if after := sink.MessageID(a); after != before || len(after) > sink.MaxMessageID {
			t.Fatalf("%s became %s", before, after)
		}
	})
}

// alike tells whether two reports have one identity.
func alike(a, b *penstock.Report) bool {
	if a.Controller != b.Controller || a.Identity != b.Identity {
		return false
	}
	if a.Identity.Form != penstock.Natural {
		return true
	}
	if a.Fingerprint != b.Fingerprint || len(a.Samples) != len(b.Samples) {
		return false
	}
	for i := range a.Samples {
		if a.Samples[i].Point != b.Samples[i].Point || a.Samples[i].SourceTime != b.Samples[i].SourceTime {
			return false
		}
	}
	return true
}

func TestSampleKey(t *testing.T) {
	r := &penstock.Report{Controller: "pump-17", Identity: penstock.SequenceIdentity(3, 17)}
	if key := sink.SampleKey(r, 2); key != "3/17#2" {
		t.Errorf("the key is %s", key)
	}
	r.Identity = penstock.KeyIdentity(strings.Repeat("k", penstock.MaxKey))
	one, two := sink.SampleKey(r, 1), sink.SampleKey(r, 2)
	if one == two || len(one) > penstock.MaxKey || penstock.KeyIdentity(one).Check() != nil {
		t.Errorf("the keys are %s and %s", one, two)
	}
}
