package watch

import (
	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/api/ops"
	"github.com/penstock/penstock/internal/logging"
	"github.com/penstock/penstock/internal/metrics"
)

// Log returns the log as the API shows it.
func (w *Watcher) Log() ops.Log { return logView{w.Logs} }

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

// watchLog has health and metrics tell how the outputs of the log stand. An output
// that is away stops no acknowledgement.
func (w *Watcher) watchLog() {
	w.Logs.Watch(func(output string) logging.Status { return w.Health.Watched("log " + output) })
	w.Metrics.Read(metrics.LogLines, func(yield func(float64, ...string)) {
		for _, o := range w.Logs.Outputs() {
			yield(float64(o.Sent), o.Name, "sent")
			yield(float64(o.Dropped), o.Name, "dropped")
		}
	})
	w.Metrics.Read(metrics.LogQueued, func(yield func(float64, ...string)) {
		for _, o := range w.Logs.Outputs() {
			yield(float64(o.Queued), o.Name)
		}
	})
}
