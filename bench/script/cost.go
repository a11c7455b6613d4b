// Package script measures what a user's script costs a report, beside the same in
// Node.js and in Go, and what one that does harm costs the reports beside it.
package script

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/reportjson"
	"github.com/penstock/penstock/internal/script"
)

// sources are the script that is measured, clean.mjs, and what runs it in Node.js
// between the same two ends, loop.mjs: reports come in as text and go out as text.
//
//go:embed clean.mjs loop.mjs
var sources embed.FS

// Readings is how many samples the report has.
const Readings = 24

// Run is a measurement.
type Run struct {
	Directory string        // for files
	Length    time.Duration // of each part
}

// rounds is into how many pieces a part is cut, which take turns with those of the
// other parts.
const rounds = 5

// Cost is what one way to change a report takes.
type Cost struct {
	What   string
	Report time.Duration // the mean of the round that took least
}

// Costs runs the script in every way, Node.js first. The ways take turns, and the
// round counts in which the machine did least beside.
func (m Run) Costs(ctx context.Context) ([]Cost, error) {
	r := newReport("pump-17")
	source, err := sources.ReadFile("clean.mjs")
	if err != nil {
		return nil, err
	}
	ways := []struct {
		what string
		run  func() (time.Duration, error)
	}{
		{"Node.js, with JSON in and out", func() (time.Duration, error) { return m.inNode(ctx, r) }},
		{"the same in Go, on samples", func() (time.Duration, error) { return m.inGo(r), nil }},
		{"the step, a script that does nothing", func() (time.Duration, error) { return m.inScript(ctx, "export function onReport() {}", r) }},
		{"the step, a script that only looks", func() (time.Duration, error) { return m.inScript(ctx, looks, r) }},
		{"the step", func() (time.Duration, error) { return m.inScript(ctx, string(source), r) }},
	}
	costs := make([]Cost, len(ways))
	for range rounds {
		for i, w := range ways {
			took, err := w.run()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", w.what, err)
			}
			if costs[i].Report == 0 || took < costs[i].Report {
				costs[i] = Cost{w.what, took}
			}
		}
	}
	return costs, nil
}

// looks is a script that reads each sample.
const looks = `export function onReport(report) { for (const s of report.samples) if (s.value < 0) throw s }`

// newReport returns a report as of a pump station.
func newReport(controller string) *penstock.Report {
	r := &penstock.Report{Controller: controller, Identity: penstock.SequenceIdentity(1, 1), Source: "bench", ReceivedTime: time.Now().UnixNano()}
	for i := range Readings {
		r.Samples = append(r.Samples, penstock.Sample{
			Point: fmt.Sprintf("line-%02d/flow", i), SourceTime: r.ReceivedTime - int64(Readings-i)*1000,
			Value: penstock.FloatValue(float64(1000+i*7) / 10), Unit: "L/s",
		})
	}
	return r
}

// mean returns how long one call takes in the mean, for as long as a measurement
// takes.
func (m Run) mean(do func() error) (time.Duration, error) {
	began, n := time.Now(), 0
	for time.Since(began) < m.Length/rounds {
		for range 10 {
			if err := do(); err != nil {
				return 0, err
			}
		}
		n += 10
	}
	return time.Since(began) / time.Duration(n), nil
}

// inGo does what the script does in Go, on a copy of the samples.
func (m Run) inGo(r *penstock.Report) time.Duration {
	var samples []penstock.Sample
	took, _ := m.mean(func() error { // it never fails
		samples = append(samples[:0], r.Samples...)
		for i := range samples {
			if i%3 == 0 && samples[i].Unit == "L/s" {
				samples[i].Value = penstock.FloatValue(samples[i].Value.Float() * 3.6)
				samples[i].Unit = "m3/h"
			}
		}
		return nil
	})
	return took
}

// engine loads a script as a gateway does.
func engine(source string, timeout time.Duration) (*script.Engine, error) {
	states, err := script.OpenStates(nil)
	if err != nil {
		return nil, err
	}
	o := script.Options{Config: *script.Default(), Source: source, States: states, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	o.Config.File = "clean.js"
	o.Config.Timeout = config.Duration(timeout)
	return script.New(o)
}

func (m Run) inScript(ctx context.Context, source string, r *penstock.Report) (time.Duration, error) {
	e, err := engine(source, time.Second)
	if err != nil {
		return 0, err
	}
	defer e.Close() // nothing is under way
	return m.mean(func() error {
		out, err := e.Run(ctx, r)
		if err == nil && out.Fault != nil {
			err = out.Fault
		}
		return err
	})
}

// inNode has Node.js run the script, and tell how long a report took.
func (m Run) inNode(ctx context.Context, r *penstock.Report) (time.Duration, error) {
	directory, err := os.MkdirTemp(m.Directory, "script-")
	if err != nil {
		return 0, err
	}
	if err := os.CopyFS(directory, sources); err != nil {
		return 0, err
	}
	line, err := reportjson.AppendReport(nil, r)
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, "node", filepath.Join(directory, "loop.mjs"), strconv.Itoa(int((m.Length / rounds).Milliseconds())))
	cmd.Stdin, cmd.Stderr = bytes.NewReader(line), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, err
	}
	nanos, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	return time.Duration(nanos), err
}
