package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/reportjson"
	"github.com/penstock/penstock/internal/script"
)

// cleaning is the script that is measured, in the gateway and in Node.js.
//
//go:embed script_clean.js
var cleaning string

// nodeLoop runs the same script in Node.js, between the same two ends: reports as
// text come in, reports as text go out.
//
//go:embed script_node.mjs
var nodeLoop string

const (
	scriptName     = "script"
	scriptReadings = 24
	neighbourFloor = 2 // times the latency without a hostile script beside it
)

// scripts measures what the user's script costs a report, beside the same in Node.js
// and in Go, and what a hostile one costs those beside it.
func (s settings) scripts(ctx context.Context) error {
	if !strings.Contains(scriptName, s.only) {
		return nil
	}
	r := newReport("pump-17", scriptReadings, 1)
	refresh(&r, uint64(time.Now().UnixNano()), 4711)
	for i := range r.Samples {
		r.Samples[i].Unit = "L/s"
	}
	t := newTable(fmt.Sprintf("A script on a report of %d samples: one value and one unit in three change", scriptReadings), "what", "a report", "of Node.js")
	inGo := s.inGo(&r)
	inNode, err := s.inNode(ctx, &r)
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	empty, err := s.inScript(ctx, "export function onReport() {}", &r)
	if err != nil {
		return err
	}
	whole, err := s.inScript(ctx, cleaning, &r)
	if err != nil {
		return err
	}
	t.row("the same in Go", micros(inGo), ratio(inNode.Seconds(), inGo.Seconds()))
	t.row("Node.js, with JSON in and out", micros(inNode), "1")
	t.row("the step, a script that does nothing", micros(empty), ratio(inNode.Seconds(), empty.Seconds()))
	t.row("the step", micros(whole), ratio(inNode.Seconds(), whole.Seconds()))
	t.print()
	return s.neighbours(ctx, &r)
}

func micros(d time.Duration) string {
	return fmt.Sprintf("%.1f µs", float64(d.Nanoseconds())/1000)
}

// mean returns how long one call takes in the mean, for as long as a measurement
// takes.
func (s settings) mean(do func() error) (time.Duration, error) {
	began, n := time.Now(), 0
	for time.Since(began) < s.length {
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
func (s settings) inGo(r *penstock.Report) time.Duration {
	var samples []penstock.Sample
	took, _ := s.mean(func() error { // it never fails
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

func (s settings) inScript(ctx context.Context, source string, r *penstock.Report) (time.Duration, error) {
	e, err := engine(source, time.Second)
	if err != nil {
		return 0, err
	}
	defer e.Close() // nothing is under way
	return s.mean(func() error {
		out, err := e.Run(ctx, r)
		if err == nil && out.Fault != nil {
			err = out.Fault
		}
		return err
	})
}

// inNode has Node.js run the script, and tell how long a report took.
func (s settings) inNode(ctx context.Context, r *penstock.Report) (time.Duration, error) {
	directory, err := os.MkdirTemp(s.directory, "script-")
	if err != nil {
		return 0, err
	}
	for name, text := range map[string]string{"clean.mjs": cleaning, "loop.mjs": nodeLoop} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o600); err != nil {
			return 0, err
		}
	}
	line, err := reportjson.AppendReport(nil, r)
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, "node", filepath.Join(directory, "loop.mjs"), strconv.Itoa(int(s.length.Milliseconds())))
	cmd.Stdin, cmd.Stderr = bytes.NewReader(line), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, err
	}
	nanos, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	return time.Duration(nanos), err
}

// harm are scripts that fail on the reports of one controller, and do no more than
// look at those of all others.
var harm = []struct{ name, body string }{
	{"nothing", ``},
	{"endless loop", `for (;;);`},
	{"endless allocation", `const all = []; for (;;) all.push(new Array(1000).fill(1))`},
	{"endless recursion", `function f() { return f() + 1 } f()`},
	{"/(a+)+$/", `/(a+)+$/.test("a".repeat(40) + "b")`},
	{"strings of 10 MB", `report.samples[0].value = "x".repeat(1e7)`},
	{"throwing getter", `report.samples = [{ get point() { throw new Error("no") } }]`},
}

// neighbours measures how long the reports of others take while one controller's
// make the script do harm, one after the other.
func (s settings) neighbours(ctx context.Context, r *penstock.Report) error {
	t := newTable("Others' reports, 50 a second, beside one controller whose reports do harm (timeout 50 ms, 4 workers)",
		"what the script does for it", "harmful reports", "others", "median", "p99", "of the base")
	var base time.Duration
	for _, h := range harm {
		all, bad, err := s.beside(ctx, h.body, r)
		if err != nil {
			return fmt.Errorf("%s: %w", h.name, err)
		}
		slices.Sort(all)
		p99 := all[len(all)*99/100]
		if base == 0 {
			base = p99
		}
		t.row(h.name, strconv.FormatInt(bad, 10), strconv.Itoa(len(all)), duration(all[len(all)/2]), duration(p99),
			fmt.Sprintf("%.2f", p99.Seconds()/base.Seconds()))
	}
	t.print()
	_, err := fmt.Printf("\nThe aim is a p99 of at most %d times the base. The base has one controller beside it that sends as fast as it is answered, too.\n", neighbourFloor)
	return err
}

// beside runs harmful reports in one goroutine and times others' in this one.
func (s settings) beside(ctx context.Context, body string, r *penstock.Report) ([]time.Duration, int64, error) {
	e, err := engine("export function onReport(report) {\n  if (report.controller !== 'bad') return;\n  "+body+"\n}", 50*time.Millisecond)
	if err != nil {
		return nil, 0, err
	}
	defer e.Close() // what is stuck ends with the process
	ctx, cancel := context.WithTimeout(ctx, s.length)
	defer cancel()
	var bad atomic.Int64
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() {
		worst := *r
		worst.Controller, worst.Samples = "bad", slices.Clone(r.Samples)
		for ctx.Err() == nil {
			if _, err := e.Run(ctx, &worst); err == nil {
				bad.Add(1)
			}
		}
	})
	var all []time.Duration
	ticks := time.NewTicker(20 * time.Millisecond)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			if len(all) == 0 {
				return nil, 0, io.ErrUnexpectedEOF
			}
			return all, bad.Load(), nil
		case <-ticks.C:
		}
		began := time.Now()
		if out, err := e.Run(context.WithoutCancel(ctx), r); err != nil || out.Fault != nil {
			return nil, 0, fmt.Errorf("a report of others failed: %w", firstError(err, out.Fault))
		}
		all = append(all, time.Since(began))
	}
}

func firstError(err error, fault *script.Fault) error {
	if err != nil {
		return err
	}
	return fault
}
