package logging_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/logging"
	"github.com/penstock/penstock/internal/testkit"
)

// page is standard error.
type page struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *page) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// written returns what use has written when the log is closed.
func written(t *testing.T, c logging.Config, terminal bool, use func(*logging.Logs)) string {
	t.Helper()
	var to page
	l, err := logging.Open(c, logging.Options{Stderr: &to, Terminal: terminal, Program: "penstock"})
	if err != nil {
		t.Fatal(err)
	}
	use(l)
	l.Close()
	return to.String()
}

func TestFormatFollowsTheReader(t *testing.T) {
	for _, test := range []struct {
		format   logging.Format
		terminal bool
		json     bool
	}{{logging.Auto, true, false}, {logging.Auto, false, true}, {logging.Text, false, false}, {logging.JSON, true, true}} {
		c := logging.Default()
		c.Format = test.format
		got := written(t, c, test.terminal, func(l *logging.Logs) { l.Logger().Info("stored", logging.Controller, "pump-17") })
		if json.Valid([]byte(got)) != test.json {
			t.Errorf("%+v writes %s", test, got)
		}
		if !regexp.MustCompile(`[0-9]Z\b`).MatchString(got) || !strings.Contains(got, "pump-17") {
			t.Errorf("the time is not in UTC, or the controller is missing: %s", got)
		}
	}
	c := logging.Default()
	c.Format = logging.Off
	if got := written(t, c, true, func(l *logging.Logs) {
		l.Logger().Error("stored")
		if !strings.Contains(string(l.Recent()), `"msg":"stored"`) {
			t.Errorf("what is recent is %s", l.Recent())
		}
	}); got != "" {
		t.Errorf("off writes %s", got)
	}
}

func TestLevelsOfComponents(t *testing.T) {
	c := logging.Default()
	c.Format, c.Level, c.Levels = logging.Text, "warn", map[string]string{"spool": "debug"}
	got := written(t, c, false, func(l *logging.Logs) {
		log, levels := l.Logger(), l.Levels()
		spool := log.With(logging.Component, "spool")
		line := log.With(logging.Component, "sources").With(logging.Source, "line-3")
		spool.Debug("one")
		log.Info("no: info of nobody")
		line.Info("no: info of line 3")
		levels.Set("sources", slog.LevelInfo)
		line.Info("two")
		levels.Set("source line-3", slog.LevelError)
		line.Warn("no: warning of line 3")
		if err := levels.Reset("source line-3"); err != nil {
			t.Error(err)
		}
		line.WithGroup("answer").Info("three", "bytes", 4)
		levels.SetBase(slog.LevelInfo)
		log.Info("four")
		if err := levels.Set("spol", slog.LevelDebug); penstock.CodeOf(err) != penstock.NotFound || !strings.Contains(err.Error(), "spool") {
			t.Errorf("a component that is not there: %v", err)
		}
		c.Level, c.Levels = "error", nil
		l.Reload(c)
		spool.Warn("no: after the reload")
		want := []logging.ComponentLevel{{"source line-3", slog.LevelError, false}, {"sources", slog.LevelError, false}, {"spool", slog.LevelError, false}}
		for i, c := range levels.Components() {
			if i >= len(want) || c != want[i] {
				t.Errorf("component %d is %+v", i, c)
			}
		}
	})
	for _, word := range []string{"one", "two", "three", "four", "answer.bytes=4"} {
		if !strings.Contains(got, word) {
			t.Errorf("%s is missing in %s", word, got)
		}
	}
	if strings.Contains(got, "no:") {
		t.Errorf("too much in %s", got)
	}
}

func TestRepeatsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := logging.Default()
		c.Format, c.Level, c.Repeats.Burst = logging.Text, "debug", 3
		got := written(t, c, false, func(l *logging.Logs) {
			for range 10 {
				for _, name := range []string{"pump-1", "pump-2"} {
					l.Logger().Warn("refused", logging.Controller, name)
				}
				l.Logger().Debug("detail")
			}
			time.Sleep(20 * time.Second)
			for range 5 {
				l.Logger().Warn("refused", logging.Controller, "pump-1")
			}
		})
		for text, want := range map[string]int{
			"msg=refused controller=pump-1": 3 + 1 + 3 + 1, "controller=pump-2": 3 + 1, "repeated=7": 2, "repeated=2": 1, "detail": 10,
		} {
			if n := strings.Count(got, text); n != want {
				t.Errorf("%q stands %d times, not %d, in\n%s", text, n, want, got)
			}
		}
	})
}

// health is a component of health as an output is shown.
type health struct {
	mu   sync.Mutex
	said []string
}

func (h *health) OK()                { h.add("ok") }
func (h *health) Failing(why string) { h.add("failing: " + why) }
func (h *health) add(s string)       { h.mu.Lock(); defer h.mu.Unlock(); h.said = append(h.said, s) }

func (h *health) last() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.said) == 0 {
		return ""
	}
	return h.said[len(h.said)-1]
}

// A receiver that is away is an alarm, delays nobody, and gets what waited when it
// is there.
func TestOutputThatIsAwayComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	c := logging.Default()
	c.Format = logging.Off
	c.Outputs = []logging.Output{{Name: "central", Syslog: &logging.Syslog{To: "unix://" + path}}}
	l, err := logging.Open(c, logging.Options{Program: "penstock"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var h health
	l.Watch(func(output string) logging.Status { return &h })
	testkit.Eventually(t, func() bool { return strings.HasPrefix(h.last(), "failing: unix://"+path) }, "the word that nobody listens")
	l.Logger().Warn("waits", logging.Controller, "pump-17")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	message := make([]byte, 4096)
	n, err := socket.Read(message)
	if err != nil || !strings.Contains(string(message[:n]), `controller="pump-17"] waits`) {
		t.Errorf("%v: %s", err, message[:n])
	}
	testkit.Eventually(t, func() bool { return h.last() == "ok" }, "the word that it is well")
	if s := l.Outputs()[0]; s.Name != "central" || s.Kind != "syslog+unix" || s.Failing || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
}

func TestConfigIsChecked(t *testing.T) {
	if err := logging.Default().Validate(); err != nil {
		t.Error(err)
	}
	with := func(change func(*logging.Config)) logging.Config {
		c := logging.Default()
		change(&c)
		return c
	}
	output := func(o logging.Output) logging.Config {
		return with(func(c *logging.Config) { c.Outputs = []logging.Output{o} })
	}
	syslog := func(s logging.Syslog) logging.Config { return output(logging.Output{Name: "a", Syslog: &s}) }
	for want, c := range map[string]logging.Config{
		`level: "loud" is not a level: write debug, info, warn or error`:          with(func(c *logging.Config) { c.Level = "loud" }),
		`levels.spool: "INFO" is not a level: write debug, info, warn or error`:   with(func(c *logging.Config) { c.Levels = map[string]string{"spool": "INFO"} }),
		`format: "xml" is not a format: write auto, text, json or off`:            with(func(c *logging.Config) { c.Format = "xml" }),
		`repeats: burst is 0 or more, and every at least 1s`:                      with(func(c *logging.Config) { c.Repeats.Every = 1 }),
		`outputs[0]: a needs exactly one of syslog and journald`:                  output(logging.Output{Name: "a"}),
		`outputs[0]: name: an output needs a name`:                                output(logging.Output{}),
		`outputs[0].name: "stderr" is taken`:                                      output(logging.Output{Name: "stderr", Journald: &logging.Journald{}}),
		`outputs[0]: syslog.to: "loghost" is not a target: write udp://HOST:514`:  syslog(logging.Syslog{To: "loghost"}),
		`outputs[0]: syslog.facility: "kern" is not a facility`:                   syslog(logging.Syslog{To: "udp://h", Facility: "kern"}),
		`outputs[0]: level: "x" is not a level: write debug, info, warn or error`: output(logging.Output{Name: "a", Level: "x", Journald: &logging.Journald{}}),
	} {
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
