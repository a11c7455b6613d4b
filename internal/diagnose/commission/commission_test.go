package commission_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/diagnose"
	"github.com/penstock/penstock/internal/diagnose/commission"
	"github.com/penstock/penstock/internal/evidence"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// table is a table in memory.
type table struct {
	rows map[string][]byte
	fail error
}

func (t *table) Put(key, value []byte) error {
	if t.fail == nil {
		t.rows[string(key)] = bytes.Clone(value)
	}
	return t.fail
}

func (t *table) Delete(key []byte) error {
	delete(t.rows, string(key))
	return nil
}

func (t *table) Scan(yield func(key, value []byte) error) error {
	for key, value := range t.rows {
		if err := yield([]byte(key), value); err != nil {
			return err
		}
	}
	return nil
}

// trial is a commissioning of a minute with a report every ten seconds.
type trial struct {
	t     *testing.T
	now   time.Time
	book  *evidence.Book
	bench *commission.Bench
	table *table
}

func newTrial(t *testing.T) *trial {
	t.Helper()
	r := &trial{t: t, now: noon, table: &table{rows: map[string][]byte{}}}
	r.book = evidence.NewBook(func() time.Time { return r.now })
	r.open()
	return r
}

func (r *trial) open() {
	var err error
	if r.bench, err = commission.Open(r.table); err != nil {
		r.t.Fatal(err)
	}
}

func (r *trial) order() commission.Order {
	c := diagnose.Default()
	margins, _ := c.Margins("pump-17")
	return commission.Order{
		Controller: diagnose.Known{Name: "pump-17", Site: "north", Port: "line-3"}, Points: []string{"flow"}, Margins: margins, By: "me",
		For: time.Minute, Every: 10 * time.Second, Book: r.book,
	}
}

// run begins the commissioning, has seqs come, and returns the record.
func (r *trial) run(seqs []uint64, each func(*penstock.Report)) commission.Record {
	r.t.Helper()
	if _, err := r.bench.Begin(r.order(), r.now); err != nil {
		r.t.Fatal(err)
	}
	for _, seq := range seqs {
		r.now = r.now.Add(10 * time.Second)
		report := &penstock.Report{
			Controller: "pump-17", Identity: penstock.SequenceIdentity(1, seq), ReceivedTime: r.now.UnixNano(),
			Samples: []penstock.Sample{{Point: "flow", SourceTime: r.now.Add(-300 * time.Millisecond).UnixNano(), Value: penstock.FloatValue(1)}},
		}
		r.book.Controller("pump-17").Count(evidence.Received)
		r.book.Controller("pump-17").Signal(evidence.RSSI, -80)
		if each != nil {
			each(report)
		}
		r.bench.Report(report, "")
	}
	done, err := r.bench.Step(r.now)
	if err != nil || len(done) != 1 {
		r.t.Fatalf("%v: %d are done", err, len(done))
	}
	return done[0]
}

func result(k commission.Record, name string) commission.Check {
	for _, c := range k.Checks {
		if c.Name == name {
			return c
		}
	}
	return commission.Check{}
}

var six = []uint64{1, 2, 3, 4, 5, 6}

func TestPass(t *testing.T) {
	r := newTrial(t)
	k := r.run(six, nil)
	if !k.Passed || !k.Done || len(k.Checks) != 6 || k.Site != "north" || k.By != "me" {
		t.Errorf("%+v", k)
	}
	for _, c := range k.Checks {
		if c.Result != commission.Pass || c.Says == "" {
			t.Errorf("%+v", c)
		}
	}
	r.open() // the record is durable
	if all := r.bench.Records("pump-17"); len(all) != 1 || all[0].ID != k.ID || len(all[0].Checks) != 6 {
		t.Errorf("%+v", all)
	}
	if all := r.bench.Records("pump-18"); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}

func TestWhatFails(t *testing.T) {
	for name, c := range map[string]struct {
		seqs  []uint64
		each  func(*trial, *penstock.Report)
		check string
		says  string
	}{
		"nothing comes":     {nil, nil, "reports", "it takes 3"},
		"a number missing":  {[]uint64{1, 2, 4, 5, 6, 7}, nil, "sequence", "1 missing"},
		"a restart":         {six, func(_ *trial, r *penstock.Report) { r.Identity.Epoch = 1 + r.Identity.Seq/4 }, "sequence", "new epoch"},
		"a clock behind":    {six, func(_ *trial, r *penstock.Report) { r.Samples[0].SourceTime -= 6e9 }, "clock", "6.30 s"},
		"a clock ahead":     {six, func(_ *trial, r *penstock.Report) { r.Samples[0].SourceTime += 2e9 }, "clock", "-1.70 s"},
		"a weak signal":     {six, func(t *trial, _ *penstock.Report) { t.book.Controller("pump-17").Signal(evidence.SNR, 4) }, "signal snr", "4.0 dB (at least 9.0)"},
		"high attenuation":  {six, func(t *trial, _ *penstock.Report) { t.book.Controller("pump-17").Signal(evidence.Attenuation, 31) }, "signal attenuation", "at most 30.0"},
		"damaged frames":    {six, func(t *trial, _ *penstock.Report) { t.book.Controller("pump-17").Count(evidence.Checksum) }, "checksum errors", "6 of 12 frames"},
		"noise on the line": {six, func(t *trial, _ *penstock.Report) { t.book.Port("line-3").Count(evidence.Parity) }, "checksum errors", "6 framing, parity"},
		"a point stays out": {six, func(_ *trial, r *penstock.Report) { r.Samples[0].Point = "level" }, "points", "flow (never)"},
		"a point is seldom": {six, func(_ *trial, r *penstock.Report) {
			if s := r.Identity.Seq; s == 3 || s == 4 {
				r.Samples = nil
			}
		}, "points", "flow (away for 30s)"},
		"refusals": {six, func(t *trial, r *penstock.Report) { t.bench.Report(r, penstock.ReasonUnit) }, "reports", "6 for unit"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTrial(t)
			r.book.Controller("pump-17").Add(evidence.Checksum, 1000) // of before: no matter
			each := func(*penstock.Report) {}
			if c.each != nil {
				each = func(k *penstock.Report) { c.each(r, k) }
			}
			if c.seqs == nil {
				r.now = r.now.Add(0)
				if _, err := r.bench.Begin(r.order(), r.now); err != nil {
					t.Fatal(err)
				}
				r.now = r.now.Add(time.Minute)
				if _, err := r.bench.Step(r.now); err != nil {
					t.Fatal(err)
				}
			} else {
				r.run(c.seqs, each)
			}
			k := r.bench.Records("pump-17")[0]
			if got := result(k, c.check); k.Passed || got.Result != commission.Fail || !strings.Contains(got.Says, c.says) {
				t.Errorf("%v: %+v, want a fail that says %q", k.Passed, got, c.says)
			}
		})
	}
}

func TestWhatALinkDoesNotTellFailsNothing(t *testing.T) {
	r := newTrial(t)
	k := r.run(six, func(k *penstock.Report) {
		k.Identity = penstock.KeyIdentity("k")
		k.Samples[0].Flags = penstock.GatewayClock
	})
	if !k.Passed || result(k, "sequence").Result != commission.Unknown || result(k, "clock").Result != commission.Unknown {
		t.Errorf("%+v", k)
	}
}

func TestLimits(t *testing.T) {
	r := newTrial(t)
	order := r.order()
	for _, change := range []func(*commission.Order){
		func(o *commission.Order) { o.For = time.Second }, func(o *commission.Order) { o.For = 48 * time.Hour }, func(o *commission.Order) { o.Every = time.Hour },
	} {
		o := order
		change(&o)
		if _, err := r.bench.Begin(o, r.now); penstock.CodeOf(err) != penstock.Invalid {
			t.Error(err)
		}
	}
	for i := range commission.MaxRunning {
		o := order
		o.Controller.Name = strings.Repeat("x", i+1)
		if _, err := r.bench.Begin(o, r.now); err != nil {
			t.Fatal(err)
		}
		if _, err := r.bench.Begin(o, r.now); penstock.CodeOf(err) != penstock.Conflict {
			t.Error(err)
		}
	}
	if _, err := r.bench.Begin(order, r.now); !penstock.CodeOf(err).Temporary() {
		t.Error(err)
	}
	r.table.fail = errors.New("the disk is full")
	r.now = r.now.Add(time.Hour)
	if done, err := r.bench.Step(r.now); err == nil || len(done) != commission.MaxRunning || len(r.bench.Records("x")) != 1 {
		t.Errorf("%v %d", err, len(done))
	}
	r.table.fail, r.table.rows["x"] = nil, []byte("\x02{}")
	if _, err := commission.Open(r.table); penstock.CodeOf(err) != penstock.Unsupported {
		t.Error(err)
	}
}
