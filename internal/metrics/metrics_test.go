package metrics_test

import (
	"flag"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/metrics"
)

var update = flag.Bool("update", false, "write docs/metrics.md")

func scrape(t *testing.T, s *metrics.Set) string {
	t.Helper()
	w := httptest.NewRecorder()
	s.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func holds(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if !strings.Contains(text, "\n"+l+"\n") {
			t.Errorf("no line %s", l)
		}
	}
}

func TestDocument(t *testing.T) {
	const name = "../../docs/metrics.md"
	if *update {
		if err := os.WriteFile(name, []byte(metrics.Document()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil || string(got) != metrics.Document() {
		t.Errorf("docs/metrics.md is not what the definitions say (%v): go test ./internal/metrics -update", err)
	}
}

func TestDefinitionsKeepTheRules(t *testing.T) {
	seen := map[metrics.Name]bool{}
	for _, d := range metrics.Definitions() {
		if seen[d.Name] {
			t.Errorf("%s is defined twice", d.Name)
		}
		seen[d.Name] = true
		if !regexp.MustCompile(`^penstock(_[a-z]+)+$`).MatchString(string(d.Name)) {
			t.Errorf("%s: a name is penstock_ and words", d.Name)
		}
		if (d.Kind == metrics.Counter) != strings.HasSuffix(string(d.Name), "_total") {
			t.Errorf("%s: counters, and no others, end in _total", d.Name)
		}
		if (d.Kind == metrics.Histogram) != (len(d.Buckets) > 0) {
			t.Errorf("%s: histograms, and no others, have buckets", d.Name)
		}
		if d.Unit == "" || !strings.HasSuffix(d.Help, ".") || len(d.Labels) > 2 {
			t.Errorf("%s: needs a unit, a sentence and at most two labels", d.Name)
		}
		for _, l := range d.Labels {
			if l.Name == "controller" || l.Name == "point" || l.Name == "credential" || l.Help == "" {
				t.Errorf("%s: label %s", d.Name, l.Name)
			}
		}
	}
}

// Every name of the package is declared, and can be used the way its definition
// says.
func TestEveryDefinitionCanBeUsed(t *testing.T) {
	s := metrics.New()
	for _, d := range metrics.Definitions() {
		labels := make([]string, len(d.Labels))
		for i := range labels {
			labels[i] = "v"
		}
		switch {
		case d.Name == metrics.Misuse:
		case d.Name == metrics.StageSeconds:
			s.ReadHistogram(d.Name, func(yield func(metrics.Buckets, ...string)) { yield(metrics.Buckets{Count: 1}, labels...) })
		case d.Kind == metrics.Histogram:
			s.Observe(d.Name, 0.5, labels...)
		case strings.HasPrefix(string(d.Name), "penstock_api_re"), d.Name == metrics.VerdictChanges, d.Name == metrics.ScriptFaults:
			s.Add(d.Name, 3, labels...)
		default:
			s.Read(d.Name, func(yield func(float64, ...string)) { yield(3, labels...) })
		}
	}
	text := scrape(t, s)
	if strings.Contains(text, string(metrics.Misuse)+"{") {
		t.Error("a definition cannot be used as it says")
	}
	for _, d := range metrics.Definitions() {
		if d.Name != metrics.Misuse && !strings.Contains(text, "\n"+string(d.Name)) {
			t.Errorf("%s is not in the scrape", d.Name)
		}
	}
}

func TestValues(t *testing.T) {
	s := metrics.New()
	s.ReadHistogram(metrics.StageSeconds, func(yield func(metrics.Buckets, ...string)) {
		b := metrics.Buckets{Count: 2, Sum: 0.033, Below: map[float64]uint64{0.005: 1, 0.05: 2}}
		yield(b, "decode", "acknowledgement")
		yield(b, "decode", "acknowledgement") // twice: the first counts
		yield(b, "one label too few")
	})
	s.Request("POST /v1/reports", "200", time.Millisecond, 512)
	depth := 4.0
	s.ReadOne(metrics.SpoolBytes, func() float64 { return depth })
	s.Read(metrics.ReportsByResult, func(yield func(float64, ...string)) {
		yield(7, "accepted")
		yield(8, "accepted") // twice: the first counts
		yield(2, "duplicate")
		yield(9)
	})
	depth = 5
	holds(t, scrape(t, s),
		`penstock_stage_seconds_count{part="acknowledgement",stage="decode"} 2`,
		`penstock_stage_seconds_bucket{part="acknowledgement",stage="decode",le="0.005"} 1`,
		`penstock_api_requests_total{route="POST /v1/reports",status="200"} 1`,
		`penstock_api_received_bytes_total 512`,
		`penstock_spool_bytes 5`,
		`penstock_ledger_reports_total{result="accepted"} 7`,
		`penstock_ledger_reports_total{result="duplicate"} 2`,
	)
}

func TestMisuseIsCountedAndHarmless(t *testing.T) {
	s := metrics.New()
	s.Add(metrics.SpoolBytes, 1)
	s.Add(metrics.Requests, 1, "one label too few")
	s.Add(metrics.Requests, -1, "GET /", "200")
	s.Observe(metrics.Requests, 1)
	s.Read("nobody", func(func(float64, ...string)) {})
	s.ReadHistogram("nothing", func(func(metrics.Buckets, ...string)) {})
	holds(t, scrape(t, s),
		`penstock_metrics_misuse_total{name="penstock_spool_bytes"} 1`,
		`penstock_metrics_misuse_total{name="penstock_api_requests_total"} 3`,
		`penstock_metrics_misuse_total{name="nobody"} 1`,
		`penstock_metrics_misuse_total{name="nothing"} 1`)
}

func TestCardinalityIsCapped(t *testing.T) {
	s := metrics.New()
	for i := range 10_000 {
		s.Add(metrics.Requests, 1, fmt.Sprintf("GET /\n%d", i), "200")
	}
	text := scrape(t, s)
	if n := strings.Count(text, "\npenstock_api_requests_total{"); n != 257 {
		t.Errorf("%d series", n)
	}
	holds(t, text, `penstock_api_requests_total{route="other",status="other"} 9744`)
}
