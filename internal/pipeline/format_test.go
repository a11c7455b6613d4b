package pipeline_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/pipeline"
)

// line returns a report in JSON.
func line(controller string, seq int, samples string) string {
	return fmt.Sprintf(`{"controller":%q,"epoch":1,"seq":%d,"samples":[%s]}`, controller, seq, samples)
}

func (b *bench) sendJSON(t testing.TB, mediaType, body string) intake.Judged {
	t.Helper()
	e := b.envelope()
	e.ContentType, e.Body = mediaType, []byte(body)
	return b.submit(t, e)
}

func TestJSONIsTakenWhole(t *testing.T) {
	b := newBench(t, nil, fleetOptions())
	good := line("pump-1", 1, `{"point":"a","value":12},{"point":"b","time":"2026-11-22T11:59:59.5Z","value":null,"status":"BadTimeout"}`)
	for _, body := range []string{good, "[" + good + "]"} {
		j := b.sendJSON(t, pipeline.JSONType+"; charset=utf-8", body)
		if j.Err != nil || len(j.Reports) != 1 || j.Reports[0].Reason != "" {
			t.Fatalf("%+v", j)
		}
		if s := j.Reports[0].Report.Samples[0]; s.SourceTime != noon || s.Flags != penstock.GatewayClock {
			t.Errorf("a sample without a time: %+v", s)
		}
	}
	wantRefused(t, b.sendJSON(t, pipeline.JSONType, "["+good+`,{"controller":"pump-1"}]`), penstock.ReasonMalformed, penstock.Invalid, "decode")
	wantRefused(t, b.sendJSON(t, pipeline.JSONType, "[]"), penstock.ReasonMalformed, penstock.Invalid, "decode")
	wantRefused(t, b.sendJSON(t, pipeline.JSONType, ""), penstock.ReasonMalformed, penstock.Invalid, "decode")
	wide := line("pump-1", 2, strings.Repeat(`{"point":"a","value":1},`, penstock.MaxSamples)+`{"point":"a","value":1}`)
	wantRefused(t, b.sendJSON(t, pipeline.JSONType, wide), penstock.ReasonTooLarge, penstock.TooLarge, "decode")
	many := "[" + strings.Repeat(good+",", 10_000) + good + "]"
	wantRefused(t, b.sendJSON(t, pipeline.JSONType, many), penstock.ReasonTooLarge, penstock.TooLarge, "decode")
}

func TestLinesAreJudgedOneByOne(t *testing.T) {
	b := newBench(t, nil, fleetOptions())
	j := b.sendJSON(t, pipeline.NDJSONType, strings.Join([]string{
		line("pump-1", 1, `{"point":"a","value":1}`), "", "{", line("valve-1", 1, `{"point":"a","value":1}`), line("pump-1", 2, `{"point":"a","value":1.5}`),
	}, "\n"))
	if j.Err != nil || len(j.Reports) != 4 {
		t.Fatalf("%+v", j)
	}
	wantItem(t, j.Reports[0], "", false, "")
	wantItem(t, j.Reports[1], penstock.ReasonMalformed, false, "decode: line 3")
	wantItem(t, j.Reports[2], penstock.ReasonForbidden, false, "scope")
	wantItem(t, j.Reports[3], "", false, "")
	// The first line made the point a whole number, the last one a float64.
	if p := b.fleet.Points("pump-1"); p[0].Kind != penstock.Float64 {
		t.Errorf("%+v", p)
	}
}

// A report over 1 MiB in binary could not be kept in the spool.
func TestReportTooLargeToKeep(t *testing.T) {
	b := newBench(t, nil, fleetOptions())
	var samples []string
	for i := range 40 {
		samples = append(samples, fmt.Sprintf(`{"point":"p%d","value":%q}`, i, strings.Repeat("x", 60<<10)))
	}
	j := b.sendJSON(t, pipeline.NDJSONType, line("pump-1", 1, strings.Join(samples, ",")))
	if j.Err != nil || len(j.Reports) != 1 {
		t.Fatalf("%+v", j)
	}
	wantItem(t, j.Reports[0], penstock.ReasonTooLarge, false, "decode")
}

// The same report has the same fingerprint in every format.
func TestFingerprintOfEveryFormat(t *testing.T) {
	b := newBench(t, nil, fleetOptions())
	text := line("pump-1", 1, fmt.Sprintf(`{"point":"a","time":%d,"value":1.5,"unit":"m","status":"Uncertain"}`, noon))
	first := b.sendJSON(t, pipeline.JSONType, text).Reports[0].Report
	second := b.sendJSON(t, pipeline.NDJSONType, text).Reports[0].Report
	binary := b.send(t, &penstock.Report{Controller: first.Controller, Identity: first.Identity, Samples: first.Samples}).Report
	if first.Fingerprint == 0 || first.Fingerprint != second.Fingerprint || first.Fingerprint != binary.Fingerprint {
		t.Errorf("fingerprints %x, %x, %x", first.Fingerprint, second.Fingerprint, binary.Fingerprint)
	}
	// It is that of the content as it came, before any step changed it.
	whole := line("pump-1", 2, fmt.Sprintf(`{"point":"a","time":%d,"value":2}`, noon))
	fitted := b.sendJSON(t, pipeline.JSONType, whole).Reports[0].Report
	again := b.sendJSON(t, pipeline.JSONType, whole).Reports[0].Report
	asFloat := b.sendJSON(t, pipeline.JSONType, strings.Replace(whole, `"value":2`, `"value":2.0`, 1)).Reports[0].Report
	if fitted.Samples[0].Value != penstock.FloatValue(2) || fitted.Fingerprint != again.Fingerprint || fitted.Fingerprint == asFloat.Fingerprint {
		t.Errorf("%+v %x %x %x", fitted.Samples[0], fitted.Fingerprint, again.Fingerprint, asFloat.Fingerprint)
	}
}

// A declared mapping sees the envelope, and what it tells of the link is evidence
// once its report has passed; of a report that is refused nothing is noted.
func TestMappings(t *testing.T) {
	b := newBench(t, nil, fleetOptions())
	b.declare(t, "plain", func(_ []byte, batch *pipeline.Batch) error {
		for _, controller := range strings.Split(batch.Envelope().Topic, "+") {
			r := &penstock.Report{Controller: controller, Samples: []penstock.Sample{{Point: "v", SourceTime: noon, Value: penstock.FloatValue(1)}}}
			if err := batch.Add(r, nil); err != nil {
				return err
			}
			batch.Signal(evidence.RSSI, -71)
		}
		return nil
	})
	e := b.envelope()
	e.ContentType, e.Topic = "plain", "pump-1+valve-1+tank-1"
	j := b.submit(t, e)
	if j.Err != nil || len(j.Reports) != 3 {
		t.Fatalf("%+v", j)
	}
	wantItem(t, j.Reports[1], penstock.ReasonForbidden, false, "scope")
	for controller, want := range map[string]int{"pump-1": 1, "valve-1": 0, "tank-1": 1} {
		got := 0
		if page, ok := b.book.FindController(controller); ok {
			got = len(page.Readings(evidence.RSSI))
		}
		if got != want {
			t.Errorf("%s has %d readings, not %d", controller, got, want)
		}
	}
	e.ContentType = "plane"
	wantRefused(t, b.submit(t, e), penstock.ReasonMalformed, penstock.Unsupported, "decode")
	e.ContentType = "text/plain"
	wantRefused(t, b.submit(t, e), penstock.ReasonMalformed, penstock.Unsupported, "decode")
}
