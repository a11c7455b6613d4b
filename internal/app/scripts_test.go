package app

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/scripts"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/historian"
	"github.com/penstock/penstock/internal/pipeline"
	"github.com/penstock/penstock/internal/script"
	"github.com/penstock/penstock/internal/testkit"
)

// scripted is a node with a script, which lives on through restarts.
type scripted struct {
	t     *testing.T
	fs    vfs.FS
	file  string
	log   bytes.Buffer
	steps pipeline.Config

	*node
	token string
	seq   int
	stop  func()
}

// scriptPatience is for a machine that other tests keep busy.
const scriptPatience = config.Duration(10 * time.Second)

const countingScript = `export function onReport(report, ctx) {
  if (report.seq === 3) return null
  if (report.seq === 4) throw new Error("not this one")
  ctx.state.seen = (ctx.state.seen ?? 0) + 1
  report.samples.push({ point: "seen", value: ctx.state.seen })
}`

func startScripted(t *testing.T) *scripted {
	s := &scripted{t: t, fs: vfs.NewMem(), file: filepath.Join(t.TempDir(), "count.js")}
	s.write(countingScript)
	settings := script.Default()
	settings.File, settings.OnError, settings.Timeout = s.file, script.ToQuarantine, scriptPatience
	for _, step := range pipeline.Default() {
		if step.Validate != nil {
			s.steps = append(s.steps, pipeline.Step{Script: settings})
		}
		s.steps = append(s.steps, step)
	}
	s.open()
	t.Cleanup(func() { s.close() })
	return s
}

func (s *scripted) write(source string) {
	s.t.Helper()
	if err := os.WriteFile(s.file, []byte(source), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scripted) open() {
	s.t.Helper()
	settings := settings.Default()
	settings.Middleware = s.steps
	n, err := openNode(nodeOptions{config: settings, fs: s.fs, dir: "data", log: slog.New(slog.NewTextHandler(&s.log, nil)), now: time.Now})
	if err != nil {
		s.t.Fatal(err)
	}
	s.node = n
	if token, err := n.fleet.EnsureAdmin(nil); err != nil {
		s.t.Fatal(err)
	} else if token != "" {
		s.token = token
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := n.sinks.Run(ctx); err != nil {
			s.t.Error(err)
		}
	})
	s.stop = func() { cancel(); running.Wait() }
}

func (s *scripted) close() {
	s.stop()
	if err := s.node.close(); err != nil {
		s.t.Error(err)
	}
}

func (s *scripted) send() penstock.Verdict {
	s.t.Helper()
	s.seq++
	body := []byte(`{"controller":"pump-1","epoch":1,"seq":` + string(rune('0'+s.seq)) + `,"samples":[{"point":"flow","value":1.5}]}`)
	e := penstock.Envelope{Source: "https", ContentType: pipeline.JSONType, Body: body, Credential: penstock.Credential{Token: s.token}, ReceivedTime: time.Now().UnixNano()}
	outcomes, err := s.pipeline.Submit(s.t.Context(), []penstock.Envelope{e}).Wait(s.t.Context())
	if err != nil || outcomes[0].Err != nil {
		s.t.Fatal(err, outcomes)
	}
	return outcomes[0].Verdicts[0]
}

// replace loads the script again.
func (s *scripted) replace() error {
	commit, _, err := s.scripts.Prepare(scripts.Of(s.steps))
	if err == nil {
		commit()
	}
	return err
}

// seen is the newest value of the point that the script makes.
func (s *scripted) seen() float64 {
	s.t.Helper()
	through := s.spool.Durable()
	testkit.Eventually(s.t, func() bool {
		books, _ := s.intake.Totals() // are told after the record has settled
		return s.historian.Through() >= through && books.Waiting == 0
	}, "the record to settle")
	for _, series := range s.historian.Series(historian.Selector{Scope: penstock.Scope{"*"}, Controller: "pump-1", Point: "seen"}) {
		latest, _, err := s.historian.Latest(s.t.Context(), series.ID)
		if err != nil {
			s.t.Fatal(err)
		}
		return latest.Value.Float()
	}
	return 0
}

// A script changes, drops and fails in a gateway; what it keeps outlives restarts,
// and a file that changed takes hold while the gateway runs.
func TestScriptInAGateway(t *testing.T) {
	s := startScripted(t)
	for seq := 1; seq <= 5; seq++ {
		if v := s.send(); v.Result != penstock.Accepted {
			t.Errorf("report %d: %+v", seq, v)
		}
	}
	if got := s.seen(); got != 3 {
		t.Errorf("the script saw %v reports, not 3", got)
	}
	books, _ := s.intake.Totals()
	if books.Accepted != 5 || books.Filtered != 1 || books.Quarantined != 1 || books.Stored != 3 || !books.Balanced() {
		t.Errorf("books %+v", books)
	}
	scrape := httptest.NewRecorder()
	s.metrics.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(scrape, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if !strings.Contains(scrape.Body.String(), `penstock_script_faults_total{kind="threw"} 1`) {
		t.Error("the fault is not counted")
	}
	held, err := s.historian.Quarantined(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	var why []string
	for _, q := range held {
		why = append(why, q.Reason)
	}
	if len(why) != 1 || !strings.Contains(why[0], "count.js:3:") || !strings.Contains(why[0], "not this one") {
		t.Errorf("quarantine %q", why)
	}
	s.close()
	s.open()
	s.send()
	if got := s.seen(); got != 4 {
		t.Errorf("after a restart the script saw %v reports, not 4", got)
	}

	s.write(strings.Replace(countingScript, "+ 1", "+ 10", 1))
	if err := s.replace(); err != nil {
		t.Fatal(err)
	}
	s.send()
	if got := s.seen(); got != 14 {
		t.Errorf("after the change the script saw %v reports, not 14", got)
	}
	s.write("export function onReport( {")
	if err := s.replace(); err == nil || !strings.Contains(err.Error(), "count.js:1") {
		t.Errorf("a script that does not compile: %v", err)
	}
	s.send()
	if got := s.seen(); got != 24 {
		t.Errorf("with the script before it saw %v reports, not 24", got)
	}
}
