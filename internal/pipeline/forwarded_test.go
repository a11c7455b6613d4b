package pipeline_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/link"
)

func (b *bench) sendForwarded(t testing.TB, rs ...*penstock.Report) intake.Judged {
	t.Helper()
	e := b.envelope()
	e.ContentType, e.Body = link.ForwardedType, link.BeginForwarded(nil)
	for _, r := range rs {
		e.Body = link.AppendForwarded(e.Body, r)
	}
	return b.submit(t, e)
}

// A forwarded report keeps the time when the other gateway received it, by which its
// samples are judged, and whole numbers widen as they did there.
func TestForwardedReports(t *testing.T) {
	b := newBench(t, nil, fleetOptions())
	const month = int64(30 * 24 * time.Hour)
	old := report("pump-1", 1, sample("a", penstock.IntValue(12)))
	old.Samples[0].SourceTime, old.ReceivedTime = noon-month, noon-month+5
	wide := report("pump-1", 2, sample("a", penstock.FloatValue(12.5)))
	wide.ReceivedTime = noon + int64(23*time.Hour)
	never, late := report("pump-1", 3, sample("a", penstock.FloatValue(1))), report("pump-1", 4, sample("a", penstock.FloatValue(1)))
	late.ReceivedTime = noon + int64(25*time.Hour)
	j := b.sendForwarded(t, old, wide, never, late)
	if j.Err != nil || len(j.Reports) != 4 {
		t.Fatalf("%+v", j)
	}
	for i, want := range []*penstock.Report{old, wide} {
		got := j.Reports[i].Report
		if j.Reports[i].Reason != "" || !j.Reports[i].Forwarded || got.ReceivedTime != want.ReceivedTime || !slices.Equal(got.Samples, want.Samples) || got.Source != "https" {
			t.Errorf("%+v came as %+v", want, got)
		}
		if got.Fingerprint != link.Fingerprint(link.AppendReport(nil, want)) {
			t.Errorf("report %d has the fingerprint of something else", i)
		}
	}
	wantItem(t, j.Reports[2], penstock.ReasonTime, false, "decode")
	wantItem(t, j.Reports[3], penstock.ReasonTime, false, "decode")
}

func TestForwardedBodiesThatCannotBeRead(t *testing.T) {
	b := newBench(t, nil, fleetOptions())
	good := report("pump-1", 1, sample("a", penstock.FloatValue(1)))
	good.ReceivedTime = noon
	whole := link.AppendForwarded(link.BeginForwarded(nil), good)
	damaged := slices.Clone(whole)
	damaged[len(damaged)-9] ^= 0x80
	for name, c := range map[string]struct {
		body string
		code penstock.Code
	}{
		"empty":         {"", penstock.Invalid},
		"no report":     {string(whole[:2]), penstock.Invalid},
		"later version": {"\x02\x00" + string(whole[2:]), penstock.Unsupported},
		"features":      {"\x01\x01" + string(whole[2:]), penstock.Unsupported},
		"short time":    {string(whole[:6]), penstock.Invalid},
		"short report":  {string(whole[:len(whole)-1]), penstock.Invalid},
	} {
		e := b.envelope()
		e.ContentType, e.Body = link.ForwardedType, []byte(c.body)
		t.Run(name, func(t *testing.T) {
			wantRefused(t, b.submit(t, e), penstock.ReasonMalformed, c.code, "decode")
		})
	}
	e := b.envelope()
	e.ContentType, e.Body = link.ForwardedType, append(damaged, whole[2:]...)
	j := b.submit(t, e)
	if j.Err != nil || len(j.Reports) != 2 || j.Reports[0].Reason != penstock.ReasonMalformed || !strings.Contains(j.Reports[0].Detail, "begins at byte 2") || j.Reports[1].Reason != "" {
		t.Errorf("one of two is damaged: %+v", j)
	}
}
