package app

import (
	"context"
	"reflect"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/logging"
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
		if g.Level != nil {
			if level, err := logging.ParseLevel(next.Log.Level); err == nil { // it was validated
				g.Level.Set(level)
			}
		}
		g.complain("the new mappings could not be taken over", g.mappings.replace(next.Mappings))
		specs := next.specs()
		g.bound.keep(specs)
		sources.Apply(specs)
		g.complain("the new sinks could not be taken over", g.reloadSinks(next))
		g.Log.Info("the configuration was read again")
		if keys := needRestart(current, *next); len(keys) > 0 {
			g.Log.Warn("changes that take hold at the next start only", "keys", keys)
		}
		current = *next
	}
}

// needRestart returns the keys that differ and that a running gateway keeps as
// they were.
func needRestart(before, after Config) (keys []string) {
	before.Log.Level, after.Log.Level = "", ""
	before.Sources, after.Sources = nil, nil
	sinks := before.record() != after.record()
	before.Sinks, after.Sinks = nil, nil
	before.Mappings, after.Mappings = nil, nil
	for _, c := range []*Config{&before, &after} { // what sources are made from
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
