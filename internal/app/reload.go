package app

import (
	"context"
	"reflect"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/linkgate"
	"github.com/penstock/penstock/internal/source/mqttbroker"
)

// reload takes over each new configuration: what can change in a gateway that
// runs does, and of the rest the log says that it needs a restart.
func (g *gateway) reload(ctx context.Context, sources *source.Set) error {
	current := g.Config
	for {
		next, err := g.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			g.Log.Error("the new configuration does not hold; the gateway goes on with the one before", "error", err)
			continue
		}
		g.herald.reloading()
		g.Logs.Reload(next.Log)
		g.complain("the new mappings could not be taken over", g.mappings.replace(next.Mappings))
		if err := g.scripts.replace(scriptOf(next.Middleware)); err != nil {
			g.Log.Error("the new script does not load; the one before goes on", "error", err)
		}
		g.knowLines(next.Sources)
		specs := next.SourceSpecs()
		g.bound.keep(specs)
		sources.Apply(specs)
		g.complain("the new sinks could not be taken over", g.reloadSinks(next))
		g.Log.Info("the configuration was read again")
		if keys := needRestart(current, *next); len(keys) > 0 {
			g.Log.Warn("changes that take hold at the next start only", "keys", keys)
		}
		current = *next
		g.herald.ready()
	}
}

// needRestart returns the keys that differ and that a running gateway keeps as
// they were.
func needRestart(before, after settings.Config) (keys []string) {
	before.Log.Level, after.Log.Level = "", ""
	before.Log.Levels, after.Log.Levels = nil, nil
	before.Sources, after.Sources = nil, nil
	sinks := before.RecordName() != after.RecordName()
	before.Sinks, after.Sinks = nil, nil
	before.Mappings, after.Mappings = nil, nil
	if sameButScript(before.Middleware, after.Middleware) {
		before.Middleware, after.Middleware = nil, nil
	}
	for _, c := range []*settings.Config{&before, &after} { // what sources are made from
		c.Listen.MQTT, c.Listen.Link, c.Listen.LinkUDP = "", "", ""
		c.MQTT, c.Link = mqttbroker.Config{}, linkgate.Config{}
	}
	a, b := reflect.ValueOf(before), reflect.ValueOf(after)
	for i := range a.NumField() {
		if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			key, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("yaml"), ",")
			keys = append(keys, key)
		}
	}
	if sinks {
		keys = append(keys, "sinks: which of them is the record")
	}
	slices.Sort(keys)
	return keys
}
