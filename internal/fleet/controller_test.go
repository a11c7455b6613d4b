package fleet_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/fleet/credential"
	"github.com/penstock/penstock/internal/fleet/fleettest"
)

func TestUnknownControllers(t *testing.T) {
	for policy, want := range map[fleet.Policy]struct {
		reason penstock.Reason
		state  fleet.State
	}{
		fleet.RegisterUnknown: {"", fleet.Registered},
		fleet.HoldUnknown:     {penstock.ReasonUnknown, fleet.Held},
		fleet.RejectUnknown:   {penstock.ReasonUnknown, ""},
	} {
		t.Run(string(policy), func(t *testing.T) {
			o := options()
			o.Unknown = policy
			table := fleettest.New()
			f := open(t, table, o)
			wantReason(t, f.Register(reportOf("pump-17")), want.reason)
			c, known := f.Controller("pump-17")
			if known != (want.state != "") || c.State != want.state {
				t.Fatalf("known %v, %+v", known, c)
			}
			if known && (c.FirstSeen != noon.UnixNano() || c.Source != "https" || c.LastIdentity != penstock.SequenceIdentity(1, 7)) {
				t.Errorf("controller %+v", c)
			}
			if table.Puts != 0 {
				t.Error("a report waited for the table")
			}
			if err := f.Admit("pump-17"); err != nil {
				t.Fatal(err)
			}
			f = open(t, table, o)
			wantReason(t, f.Register(reportOf("pump-17")), "")
			if c, _ := f.Controller("pump-17"); c.State != fleet.Registered || known && c.FirstSeen != noon.UnixNano() {
				t.Errorf("after the restart %+v", c)
			}
		})
	}
}

func TestNamesThatMayNotRegister(t *testing.T) {
	f := open(t, fleettest.New(), options())
	for _, name := range []string{
		"", "#", "+", "a+b", "/", "a/b", "$SYS", "*", "pump-*", "nul\x00", "esc\x1b[0m", "\u0085", "bad\xff",
		strings.Repeat("x", 129), strings.Repeat("x", 64<<10), "cafe\u0301",
	} {
		wantReason(t, f.Register(reportOf(name)), penstock.ReasonName)
		wantCode(t, f.Admit(name), penstock.Invalid)
	}
	for _, name := range []string{"pump-17", "Pump-17", "café", "泵站 3", strings.Repeat("x", 128)} {
		wantReason(t, f.Register(reportOf(name)), "")
	}
	if got := len(f.Controllers()); got != 5 { // compared exactly: pump-17 is not Pump-17
		t.Errorf("%d controllers", got)
	}
}

func TestControllerLimits(t *testing.T) {
	o := options()
	o.Limits.Controllers = 2
	f := open(t, fleettest.New(), o)
	wantReason(t, f.Register(reportOf("a")), "")
	wantReason(t, f.Register(reportOf("b")), "")
	wantReason(t, f.Register(reportOf("c")), penstock.ReasonUnknown)
	wantReason(t, f.Register(reportOf("a")), "")
	wantCode(t, f.Admit("c"), penstock.TooLarge)

	o.Unknown, o.Limits.Held = fleet.HoldUnknown, 3
	f = open(t, fleettest.New(), o)
	for i := range 10 {
		r := reportOf(fmt.Sprintf("c%d", i))
		r.ReceivedTime += int64(i)
		wantReason(t, f.Register(r), penstock.ReasonUnknown)
	}
	held := f.Controllers()
	if len(held) != 3 || held[0].Name != "c7" || held[2].Name != "c9" {
		t.Errorf("held %+v, want the three seen last", held)
	}
}

func TestFlushWritesPagesThatChanged(t *testing.T) {
	table := fleettest.New()
	f := open(t, table, options())
	for i := range 600 {
		r := reportOf(fmt.Sprintf("c%03d", i))
		r.Identity = penstock.KeyIdentity(fmt.Sprint("k", i))
		wantReason(t, f.Register(r), "")
	}
	flush := func(puts int) {
		t.Helper()
		before := table.Puts
		if err := f.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := table.Puts - before; got != puts {
			t.Errorf("%d writes, want %d", got, puts)
		}
	}
	flush(3)
	flush(0)
	wantReason(t, f.Register(reportOf("c300")), "")
	table.Fail = errDisk
	if f.Flush() == nil {
		t.Error("the failure of the table is not told")
	}
	table.Fail = nil
	flush(1)
	want := f.Controllers()
	f = open(t, table, options())
	got := f.Controllers()
	if len(got) != len(want) {
		t.Fatalf("%d controllers after the restart, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%+v, want %+v", got[i], want[i])
		}
	}
	wantReason(t, f.Register(reportOf("new")), "")
	flush(1)
}

// A crash may take a page whose controllers registered themselves, and leave a
// later one that a person's decision made durable.
func TestPageThatWasNeverWritten(t *testing.T) {
	table := fleettest.New()
	f := open(t, table, options())
	for i := range 256 {
		wantReason(t, f.Register(reportOf(fmt.Sprintf("c%03d", i))), "")
	}
	if err := f.Admit("last"); err != nil {
		t.Fatal(err)
	}
	f = open(t, table, options())
	if got := f.Controllers(); len(got) != 1 || got[0].Name != "last" {
		t.Fatalf("%+v", got)
	}
	wantReason(t, f.Register(reportOf("c000")), "")
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := open(t, table, options()).Controllers(); len(got) != 2 {
		t.Fatalf("%+v", got)
	}
}

func TestGrantAdmitsWhomItNames(t *testing.T) {
	o := options()
	o.Unknown = fleet.RejectUnknown
	table := fleettest.New()
	f := open(t, table, o)
	for _, g := range []credential.Grant{
		{Label: "a station", Role: penstock.RoleController, Scope: penstock.Scope{"pump-17", "tank-*"}},
		{Label: "a person", Role: penstock.RoleViewer, Scope: penstock.Scope{"valve-1"}},
	} {
		if _, _, err := f.Add(g); err != nil {
			t.Fatal(err)
		}
	}
	f = open(t, table, o)
	wantReason(t, f.Register(reportOf("pump-17")), "")
	wantReason(t, f.Register(reportOf("tank-1")), penstock.ReasonUnknown)
	wantReason(t, f.Register(reportOf("valve-1")), penstock.ReasonUnknown)
}

// Decoders may use their memory again once the report was judged.
func TestFleetKeepsNothingOfTheReport(t *testing.T) {
	f := open(t, fleettest.New(), options())
	body := []byte("pump-17key-1flowm")
	text := unsafe.String(&body[0], len(body))
	r := reportOf("", penstock.FloatValue(1))
	r.Controller, r.Identity = text[:7], penstock.KeyIdentity(text[7:12])
	r.Samples[0].Point, r.Samples[0].Unit = text[12:16], text[16:]
	wantReason(t, f.Register(r), "")
	wantReason(t, f.Learn(r, false), "")
	clear(body)
	if c, ok := f.Controller("pump-17"); !ok || c.Name != "pump-17" || c.LastIdentity.Key != "key-1" {
		t.Errorf("%+v", c)
	}
	if p := f.Points("pump-17"); len(p) != 1 || p[0].Name != "flow" || p[0].Unit != "m" {
		t.Errorf("%+v", p)
	}
}

func TestRegisterFromManyGoroutines(t *testing.T) {
	table := fleettest.New()
	f := open(t, table, options())
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			for i := range 300 {
				if refusal := f.Register(reportOf(fmt.Sprintf("c%d", i))); refusal != nil {
					t.Errorf("%+v", refusal)
				}
				if i%100 == 0 {
					if err := f.Flush(); err != nil {
						t.Error(err)
					}
					f.Controllers()
				}
			}
		})
	}
	senders.Wait()
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := len(open(t, table, options()).Controllers()); got != 300 {
		t.Errorf("%d controllers after the restart, want 300", got)
	}
}
