// Package changes tells what a new configuration changes in a gateway that runs: which
// keys, what takes hold at once, what is started again, and what waits for the next
// start, with the reason.
package changes

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/api/ops"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/pipeline"
	"github.com/penstock/penstock/internal/script"
)

// Facts are what a plan needs to know of the gateway.
type Facts struct {
	Start     *settings.Config // with which the gateway was started
	Record    string           // name of the system of record that runs
	SpoolUsed int64            // bytes
	Now       time.Time
}

// The effects of a change.
const (
	AtOnce  = "at once"
	Restart = "restart"
)

// Plan returns what a gateway with one configuration does when it takes over another.
func Plan(before, after *settings.Config, f Facts) ops.ReloadInfo {
	p := planner{before: before, after: after, facts: f, script: sameButScript(before.Middleware, after.Middleware)}
	info := ops.ReloadInfo{Changes: []ops.ConfigChange{}}
	add := func(c config.Change, effect, why string) {
		info.Changes = append(info.Changes, ops.ConfigChange{Key: c.Key, Before: c.Before, After: c.After, Effect: effect, Why: why})
		info.Restart = info.Restart || effect == Restart
	}
	waits := map[string]bool{} // for a restart, as the gateway runs with what it was started with
	for _, c := range config.Compare(f.Start, after) {
		if effect, why := p.effect(c.Key); effect == Restart {
			waits[c.Key] = true
			add(c, effect, why)
		}
	}
	for _, c := range config.Compare(before, after) {
		switch effect, why := p.effect(c.Key); {
		case effect != Restart:
			add(c, effect, why)
		case !waits[c.Key]:
			add(c, AtOnce, "the gateway runs with this since its start")
		}
	}
	if after.RecordName() != f.Record {
		info.Restart = true
		info.Changes = append(info.Changes, ops.ConfigChange{
			Key: "sinks: which of them is the record", Before: f.Record, After: after.RecordName(), Effect: Restart,
			Why: "the system of record stays the one that it was at the start",
		})
	}
	info.Deletes = p.deletes()
	return info
}

type planner struct {
	before, after *settings.Config
	facts         Facts
	script        bool // the steps differ in nothing but the script's settings
}

// live are the keys that take hold at once.
func live() []string {
	return []string{"log.level", "log.levels", "mappings", "spool.quota", "spool.keep", "historian.retention"}
}

// effect returns what becomes of a change: at once, a component that is started again,
// begins or ends, or restart with the reason.
func (p *planner) effect(key string) (effect, why string) {
	for _, k := range live() {
		if isBelow(key, k) {
			return AtOnce, ""
		}
	}
	for of, source := range map[string]string{"mqtt": "mqtt", "listen.mqtt": "mqtt", "link": "link", "listen.link": "link", "listen.link_udp": "link_udp"} {
		if isBelow(key, of) {
			return "source " + source + " is started again", ""
		}
	}
	top, _, _ := strings.Cut(key, ".")
	top, _, _ = strings.Cut(top, "[")
	name, _, _ := strings.Cut(key[min(len(key), len(top)+1):], "]")
	switch top {
	case "sources":
		return "source " + name + " " + became(p.has(p.before.Sources, name), p.has(p.after.Sources, name)), ""
	case "sinks":
		if name == p.facts.Record && !hasSink(p.after.Sinks, name) {
			return Restart, "it is the system of record, which stays the one that it was at the start"
		}
		return "sink " + name + " " + became(hasSink(p.before.Sinks, name), hasSink(p.after.Sinks, name)), ""
	case "middleware":
		if p.script {
			return AtOnce, ""
		}
		return Restart, "the steps of the pipeline are joined at the start"
	}
	return Restart, reason(top, key)
}

func (*planner) has(sources []settings.Source, name string) bool {
	return slices.ContainsFunc(sources, func(s settings.Source) bool { return s.Name == name })
}

func hasSink(sinks []settings.Sink, name string) bool {
	return slices.ContainsFunc(sinks, func(s settings.Sink) bool { return s.Name == name })
}

func became(was, is bool) string {
	switch {
	case !was:
		return "begins"
	case !is:
		return "ends"
	}
	return "is started again"
}

func isBelow(key, top string) bool {
	rest, ok := strings.CutPrefix(key, top)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// reason says why a key waits for the next start.
func reason(top, key string) string {
	switch top {
	case "data":
		return "the data directory is locked and opened at the start"
	case "listen":
		return "the sockets are bound at the start, and those who are connected would be cut off"
	case "keys":
		return "the keyring is opened at the start"
	case "spool":
		return "segments of the new size begin with a new process"
	case "log":
		return "the outputs of the log are opened at the start; " + key + " is not a level"
	}
	return "it is read at the start"
}

// deletes says in words what will be deleted, or refused, because of less retention or
// a lower quota.
func (p *planner) deletes() []string {
	said := []string{}
	old, keep := p.before.Historian.Retention.Std(), p.after.Historian.Retention.Std()
	if keep > 0 && (old == 0 || keep < old) {
		said = append(said, fmt.Sprintf("the historian deletes all samples of the days before %s (UTC), for good", p.facts.Now.Add(-keep).UTC().Format(time.DateOnly)))
	}
	if quota := int64(p.after.Spool.Quota); quota < int64(p.before.Spool.Quota) && p.facts.SpoolUsed > quota {
		said = append(said, fmt.Sprintf(
			"the spool holds %s, more than the new quota of %s: new reports are refused until it has room; sinks beside the record may lose their oldest reports, as their quota policy says, and what is kept to feed a record again goes first",
			config.Size(p.facts.SpoolUsed), p.after.Spool.Quota))
	}
	if keep, old := p.after.Spool.Keep, p.before.Spool.Keep; keep < old {
		said = append(said, fmt.Sprintf("reports that the system of record has stay in the spool for %s and no longer for %s", keep, old))
	}
	return said
}

// sameButScript tells whether two lists of steps differ in nothing that needs a
// restart: the settings of a script do not.
func sameButScript(a, b pipeline.Config) bool {
	return reflect.DeepEqual(withoutScript(a), withoutScript(b))
}

func withoutScript(steps pipeline.Config) pipeline.Config {
	plain := append(pipeline.Config{}, steps...)
	for i := range plain {
		if plain[i].Script != nil {
			plain[i].Script = script.Default()
		}
	}
	return plain
}
