package sinktest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sink"
	"github.com/penstock/penstock/internal/sink/sinktest"
)

// brokenRecord is a record with a bug.
type brokenRecord struct {
	*sinktest.Record
	bug string
}

func (b brokenRecord) Settle(ctx context.Context, batch penstock.Batch) (penstock.Receipt, error) {
	switch b.bug {
	case "ignores-hold":
		batch.Deliveries = slices.Clone(batch.Deliveries)
		for i := range batch.Deliveries {
			batch.Deliveries[i].Hold = ""
		}
	case "shortens-batches":
		batch.Last = max(batch.First, batch.Last-1)
	case "ignores-context":
		ctx = context.WithoutCancel(ctx)
	case "ignores-filled":
		batch.Filled = nil
	case "takes-refused-for-stored":
		batch.Filled = slices.Clone(batch.Filled)
		for i := range batch.Filled {
			batch.Filled[i].Dropped = true
		}
	}
	receipt, err := b.Record.Settle(ctx, batch)
	switch {
	case b.bug == "calls-unknown-settled" && err != nil:
		what := slices.Repeat([]penstock.Settlement{penstock.Stored}, len(batch.Deliveries))
		return penstock.Receipt{Settlements: what}, nil
	case b.bug == "tells-no-other-nodes":
		receipt.Known = nil
	case b.bug == "calls-all-stored":
		for i := range receipt.Settlements {
			receipt.Settlements[i] = penstock.Stored
		}
	case b.bug == "fails-for-good" && err != nil:
		err = errors.New("down")
	}
	return receipt, err
}

func (b brokenRecord) Resume(ctx context.Context) ([]penstock.Settled, error) {
	runs, err := b.Record.Resume(ctx)
	if err != nil && b.bug == "lets-twins-in" {
		return nil, nil
	}
	for i := range runs {
		if b.bug == "forgets-other" {
			runs[i].Other = nil
		}
		if b.bug == "contiguous-only" {
			return runs[:1], err
		}
	}
	return runs, err
}

func (b brokenRecord) Close() error {
	if b.bug == "stays-open" {
		return nil
	}
	return b.Record.Close()
}

// brokenSink is a plain sink with a bug.
type brokenSink struct {
	penstock.Sink
	bug  string
	kept *[]*penstock.Report
}

func (b brokenSink) Write(ctx context.Context, rs []*penstock.Report) error {
	if b.bug == "ignores-context" {
		ctx = context.WithoutCancel(ctx)
	}
	if b.bug == "keeps-reports" {
		// It writes what it was given before, and keeps what it is given now.
		before := *b.kept
		*b.kept = slices.Clone(rs)
		return b.Sink.Write(ctx, before)
	}
	err := b.Sink.Write(ctx, rs)
	var each *penstock.WriteError
	named := errors.As(err, &each)
	switch {
	case b.bug == "swallows-errors":
		return nil
	case b.bug == "swallows-partial-failures" && named:
		return nil
	case b.bug == "names-all" && named:
		for i := range rs {
			each.Failed[i] = penstock.Errorf(penstock.Unavailable, "not now")
		}
	case b.bug == "names-none" && named:
		return penstock.Errorf(penstock.Unavailable, "something failed")
	case b.bug == "fails-for-good" && err != nil && !named:
		return errors.New("down")
	}
	return err
}

func (b brokenSink) Close() error {
	if b.bug == "stays-open" {
		return nil
	}
	return b.Sink.Close()
}

// bugVariable names the bug in the run that must fail.
const bugVariable = "PENSTOCK_SINKTEST_BUG"

func TestWithABug(t *testing.T) {
	kind, bug, _ := strings.Cut(os.Getenv(bugVariable), " ")
	switch kind {
	case "record":
		sinktest.RunRecord(t, recordBench(func(r penstock.Record) penstock.Record {
			return brokenRecord{Record: r.(*sinktest.Record), bug: bug}
		}))
	case "sink":
		var kept []*penstock.Report
		sinktest.RunSink(t, sinkBench(func(s penstock.Sink) penstock.Sink { return brokenSink{s, bug, &kept} }))
	}
}

// TestTheSuiteCatchesBugs runs the suite on adapters with a bug each: it must fail.
func TestTheSuiteCatchesBugs(t *testing.T) {
	if os.Getenv(bugVariable) != "" {
		return
	}
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, bug := range []string{
		"record ignores-hold", "record shortens-batches", "record ignores-context", "record calls-unknown-settled", "record tells-no-other-nodes",
		"record calls-all-stored", "record fails-for-good", "record lets-twins-in", "record forgets-other", "record contiguous-only", "record stays-open", "record ignores-filled", "record takes-refused-for-stored",
		"sink ignores-context", "sink keeps-reports", "sink swallows-errors", "sink swallows-partial-failures", "sink names-all", "sink names-none", "sink fails-for-good", "sink stays-open",
	} {
		t.Run(strings.ReplaceAll(bug, " ", "-"), func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), binary, "-test.run=^TestWithABug$", "-test.timeout=60s")
			cmd.Env = append(os.Environ(), bugVariable+"="+bug)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL") {
				t.Errorf("the suite does not catch it: %v\n%s", err, out)
			}
		})
	}
}

var _ sink.Quarantine = (*sinktest.Record)(nil)
