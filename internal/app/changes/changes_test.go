package changes_test

import (
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/api/ops"
	"github.com/penstock/penstock/internal/app/changes"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/mapping"
	"github.com/penstock/penstock/internal/pipeline"
	"github.com/penstock/penstock/internal/script"
	"github.com/penstock/penstock/internal/source/syslog"
)

func plan(before, after settings.Config) ops.ReloadInfo {
	return changes.Plan(&before, &after, changes.Facts{
		Start: &before, Record: settings.HistorianName, SpoolUsed: 2 << 30, Now: time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC),
	})
}

// lines returns a plan as text.
func lines(info ops.ReloadInfo) string {
	var b strings.Builder
	for _, c := range info.Changes {
		b.WriteString(c.Key + ": " + c.Before + " -> " + c.After + ": " + c.Effect + "\n")
	}
	return b.String()
}

func TestWhatTakesHoldAtOnce(t *testing.T) {
	before, after := settings.Default(), settings.Default()
	before.Sources = []settings.Source{{Name: "line-3", Syslog: &syslog.Config{}}, {Name: "gone", Syslog: &syslog.Config{}}}
	after.Sources = []settings.Source{{Name: "line-3", Syslog: &syslog.Config{UDP: ":5140"}}, {Name: "new", Syslog: &syslog.Config{}}}
	after.Log.Level = "debug"
	after.Listen.MQTT = ":8883"
	after.Mappings = map[string]mapping.Config{"logger": {Text: &mapping.Text{}}}
	after.Spool.Quota, after.Historian.Retention = 1<<30, config.Duration(7*24*time.Hour)
	info := plan(before, after)
	if info.Restart {
		t.Errorf("it needs a restart:\n%s", lines(info))
	}
	for _, want := range []string{
		"log.level: info -> debug: at once\n", "listen.mqtt: off -> :8883: source mqtt is started again\n",
		"spool.quota: 10GiB -> 1GiB: at once\n", "historian.retention:  -> 7d: at once\n",
		"sources[line-3].syslog.udp:  -> :5140: source line-3 is started again\n",
		"sources[gone].name: gone -> : source gone ends\n", "sources[new].name:  -> new: source new begins\n",
	} {
		if !strings.Contains(lines(info), want) {
			t.Errorf("no %q in\n%s", want, lines(info))
		}
	}
	deletes := strings.Join(info.Deletes, "\n")
	if !strings.Contains(deletes, "before 2026-11-15 (UTC)") || !strings.Contains(deletes, "the spool holds 2GiB, more than the new quota of 1GiB") {
		t.Errorf("it deletes: %s", deletes)
	}
	if same := plan(after, after); len(same.Changes) > 0 || same.Restart || len(same.Deletes) > 0 {
		t.Errorf("nothing changed, and it says %+v", same)
	}
}

func TestWhatNeedsARestart(t *testing.T) {
	before, after := settings.Default(), settings.Default()
	after.Listen.HTTPS, after.Unknown, after.Spool.Segment = ":8443", "hold", 1<<20
	info := plan(before, after)
	if len(info.Changes) != 3 || !info.Restart {
		t.Errorf("the plan is\n%s", lines(info))
	}
	for _, c := range info.Changes {
		if c.Effect != changes.Restart || c.Why == "" {
			t.Errorf("%+v", c)
		}
	}
	back := changes.Plan(&after, &before, changes.Facts{Start: &before, Record: settings.HistorianName})
	if back.Restart || len(back.Changes) != 3 || back.Changes[0].Effect != changes.AtOnce {
		t.Errorf("back to how it runs:\n%s", lines(back))
	}
	after = settings.Default()
	after.Sinks = []settings.Sink{{Name: "db"}}
	after.Sinks[0].Record = true
	if info := plan(before, after); !info.Restart {
		t.Errorf("another record takes hold at once:\n%s", lines(info))
	}
}

// Of a step script only its coming and going needs a restart.
func TestScriptTakesHoldWithoutARestart(t *testing.T) {
	list := func(c *script.Config) settings.Config {
		all := settings.Default()
		all.Middleware = append(pipeline.Default(), pipeline.Step{Script: c})
		return all
	}
	a, b, none := list(&script.Config{File: "a.js"}), list(&script.Config{File: "b.js", Workers: 3}), settings.Default()
	if info := plan(a, b); info.Restart || len(info.Changes) == 0 {
		t.Errorf("the plan is\n%s", lines(info))
	}
	if info := plan(none, a); !info.Restart {
		t.Errorf("the plan is\n%s", lines(info))
	}
}
