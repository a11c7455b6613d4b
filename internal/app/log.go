package app

import (
	"log/slog"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/ops"
	"github.com/penstock/penstock/internal/logging"
	"github.com/penstock/penstock/internal/metrics"
)

// logView is the log as the API shows it.
type logView struct{ logs *logging.Logs }

// Levels implements ops.Log.
func (v logView) Levels() (string, []ops.Level) {
	levels := v.logs.Levels()
	components := []ops.Level{}
	for _, c := range levels.Components() {
		components = append(components, ops.Level{Component: c.Component, Level: logging.LevelName(c.Level), Own: c.Own})
	}
	return logging.LevelName(levels.Base()), components
}

// SetLevel implements ops.Log.
func (v logView) SetLevel(component, level string) error {
	levels := v.logs.Levels()
	if level == "" {
		return levels.Reset(component)
	}
	parsed, err := logging.ParseLevel(level)
	if err != nil {
		return penstock.Errorf(penstock.Invalid, "level: %w", err)
	}
	if component == "" {
		levels.SetBase(parsed)
		return nil
	}
	return levels.Set(component, parsed)
}

// Outputs implements ops.Log.
func (v logView) Outputs() []ops.Output {
	outputs := []ops.Output{}
	for _, o := range v.logs.Outputs() {
		state := "starting"
		switch {
		case o.Failing:
			state = "failing"
		case o.Known:
			state = "ok"
		}
		outputs = append(outputs, ops.Output{
			Name: o.Name, Kind: o.Kind, State: state, Since: ops.Moment(o.Since), Why: o.Why, Sent: o.Sent, Queued: o.Queued, Dropped: o.Dropped,
		})
	}
	return outputs
}

// component returns the logger of a part of the gateway, which has a level of its
// own.
func component(log *slog.Logger, name string) *slog.Logger { return log.With(logging.Component, name) }

// watchLog has health and metrics tell how the outputs of the log stand. An output
// that is away stops no acknowledgement.
func (g *gateway) watchLog() {
	g.Logs.Watch(func(output string) logging.Status { return g.health.Watched("log " + output) })
	g.metrics.Read(metrics.LogLines, func(yield func(float64, ...string)) {
		for _, o := range g.Logs.Outputs() {
			yield(float64(o.Sent), o.Name, "sent")
			yield(float64(o.Dropped), o.Name, "dropped")
		}
	})
	g.metrics.Read(metrics.LogQueued, func(yield func(float64, ...string)) {
		for _, o := range g.Logs.Outputs() {
			yield(float64(o.Queued), o.Name)
		}
	})
}
