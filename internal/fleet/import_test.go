package fleet_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/fleet/fleettest"
)

// entry returns an entry whose declaration has a type and a unit.
func entry(controller, point, kind, unit string) fleet.Entry {
	return fleet.Entry{Declaration: fleet.Declaration{Controller: controller, Point: point, Type: kind, Unit: unit}}
}

func limited(e fleet.Entry, low, high float64) fleet.Entry {
	e.Min, e.Max = &low, &high
	return e
}

func telling(e fleet.Entry, signal string) fleet.Entry {
	e.Signal = signal
	return e
}

func inState(e fleet.Entry, s fleet.State) fleet.Entry {
	e.State = s
	return e
}

func mustImport(t testing.TB, f *fleet.Fleet, entries ...fleet.Entry) fleet.Imported {
	t.Helper()
	done, flaws, err := f.Import(entries, false)
	if err != nil || len(flaws) > 0 {
		t.Fatalf("error %v, flaws %+v", err, flaws)
	}
	return done
}

// shown returns the fleet as an export would tell it.
func shown(f *fleet.Fleet) string {
	var b strings.Builder
	for _, c := range f.Controllers() {
		fmt.Fprintf(&b, "%s %s\n", c.Name, c.State)
		for _, p := range f.Points(c.Name) {
			fmt.Fprintf(&b, "  %s %s %t %q", p.Name, p.Kind, p.Provisional, p.Unit)
			if p.Min != nil {
				fmt.Fprintf(&b, " min %v", *p.Min)
			}
			if p.Max != nil {
				fmt.Fprintf(&b, " max %v", *p.Max)
			}
			fmt.Fprintf(&b, " %s\n", p.Signal)
		}
	}
	return b.String()
}

func TestImportIsDurable(t *testing.T) {
	table := fleettest.New()
	o := options()
	o.Unknown = fleet.RejectUnknown
	f := open(t, table, o)
	entries := []fleet.Entry{
		limited(entry("pump-17", "flow", "float64", "L/s"), 0, 12.5), entry("pump-17", "a", "", ""),
		telling(entry("pump-17", "modem", "", "dBm"), "rssi"), entry("tank-2", "", "", ""), entry("a*", "*", "text", ""),
	}
	entries[4].Controller = "valve"
	for i := range 600 { // more than one record holds
		entries = append(entries, entry("large", fmt.Sprintf("p%03d", i), "int64", ""))
	}
	if done, flaws, err := f.Import(entries, true); err != nil || len(flaws) > 0 || done.Controllers != 4 || done.Points != 604 || table.Puts != 0 || len(f.Controllers()) != 0 {
		t.Fatalf("the dry run: %+v %+v %v, %d puts, %+v", done, flaws, err, table.Puts, f.Controllers())
	}
	if done := mustImport(t, f, entries...); done.Controllers != 4 || done.Points != 604 || table.Puts != 1 {
		t.Fatalf("%+v with %d writes", done, table.Puts)
	}
	want := shown(f)
	for name, f := range map[string]*fleet.Fleet{"as it is": f, "after a restart": open(t, table, o)} {
		if got := shown(f); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
		wantReason(t, f.Register(reportOf("tank-2")), "")
		wantReason(t, f.Register(reportOf("pump-17")), "")
		flow := reportOf("pump-17", whole(12))
		flow.Samples[0].Point, flow.Samples[0].Unit = "flow", "L/s"
		wantReason(t, pass(f, flow, false), "")
		if flow.Samples[0].Value != number(12) {
			t.Errorf("%s: the value is %v", name, flow.Samples[0].Value)
		}
		flow.Samples[0].Value = number(13)
		wantReason(t, pass(f, flow, false), penstock.ReasonRange)
		flow.Samples[0].Value, flow.Samples[0].Unit = number(12), "m3/h"
		wantReason(t, pass(f, flow, false), penstock.ReasonUnit)
	}
	f = open(t, table, o)
	if done := mustImport(t, f, entries...); done != (fleet.Imported{}) || shown(f) != want {
		t.Errorf("the same again changed %+v", done)
	}
	// One more point of the large controller, and another rule for one.
	mustImport(t, f, entry("large", "new", "", ""), entry("large", "p000", "text", ""))
	want = shown(f)
	if got := shown(open(t, table, o)); got != want {
		t.Errorf("after a restart\n%s\nwant\n%s", got, want)
	}
}

// Whatever is wrong is named with its column, and then nothing is imported.
func TestImportFlaws(t *testing.T) {
	low, high := 0.0, 10.0
	declared := []fleet.Declaration{
		{Controller: "*", Point: "set", Type: "float64", Unit: "m", Min: &low, Max: &high, Signal: ""},
		{Controller: "*", Point: "word", Type: "text"},
		{Controller: "*", Point: "rssi", Signal: "rssi"},
		{Controller: "*", Point: "metre", Unit: "m"},
	}
	for name, c := range map[string]struct {
		entry  fleet.Entry
		column string
		text   string
	}{
		"no controller":                  {entry("", "x", "", ""), "controller", "needs a name"},
		"a name that may not be":         {entry("a/b", "", "", ""), "controller", "'/'"},
		"a pattern":                      {entry("pump-*", "x", "", ""), "controller", "wildcard"},
		"an unknown state":               {inState(entry("new", "", "", ""), "hold"), "state", `"hold" is neither`},
		"a registered one held":          {inState(entry("old", "", "", ""), fleet.Held), "state", "revoke its credential"},
		"a held one with a point":        {inState(entry("new", "x", "", ""), fleet.Held), "state", "no points"},
		"a point's name":                 {entry("new", "x\x00", "", ""), "point", "control character"},
		"a type":                         {entry("new", "x", "float", ""), "type", `"float"`},
		"a unit":                         {entry("new", "x", "", strings.Repeat("m", 33)), "unit", "32 bytes"},
		"limits":                         {limited(entry("new", "x", "", ""), 2, 1), "max", "at or below"},
		"limits of a text":               {limited(entry("new", "x", "text", ""), 1, 2), "type", "no min and max"},
		"a signal":                       {telling(entry("new", "x", "", ""), "volume"), "signal", "none of rssi"},
		"a signal's unit":                {telling(entry("new", "x", "", "dB"), "rssi"), "unit", "kept in dBm"},
		"a signal of a bool":             {telling(entry("new", "x", "bool", ""), "snr"), "type", "tells no snr"},
		"a type without a point":         {entry("new", "", "bool", ""), "type", "name it"},
		"a unit without a point":         {entry("new", "", "", "m"), "unit", "name it"},
		"a limit without a point":        {limited(entry("new", "", "", ""), 1, 2), "min", "name it"},
		"a signal without a point":       {telling(entry("new", "", "", ""), "snr"), "signal", "name it"},
		"the configuration's type":       {entry("new", "set", "int64", ""), "type", "declares the type float64"},
		"the configuration's unit":       {entry("new", "set", "", "cm"), "unit", "declares the unit m"},
		"the configuration's min":        {limited(entry("new", "set", "", ""), 1, 10), "min", "declares the min 0"},
		"the configuration's max":        {limited(entry("new", "set", "", ""), 0, 11), "max", "declares the max 10"},
		"the configuration's signal":     {telling(entry("new", "rssi", "", ""), "snr"), "signal", "declares the signal rssi"},
		"limits of a configured text":    {limited(entry("new", "word", "", ""), 0, 11), "type", "what the configuration declares"},
		"a signal of a configured unit":  {telling(entry("new", "metre", "", ""), "snr"), "unit", "what the configuration declares"},
		"another type than is held":      {entry("old", "a", "text", ""), "type", "holds values of type float64"},
		"a whole number of a float":      {entry("old", "a", "int64", ""), "type", "holds values of type float64"},
		"text of a whole number":         {entry("old", "b", "text", ""), "type", "holds values of type int64"},
		"a float of typed whole numbers": {entry("old", "d", "float64", ""), "type", "holds values of type uint64"},
		"limits of a held text":          {limited(entry("old", "c", "", ""), 0, 1), "type", "holds values of type text"},
		"another unit than is held":      {entry("old", "a", "", "cm"), "unit", `holds values in "m"`},
		"a signal in a held unit":        {telling(entry("old", "a", "", ""), "snr"), "signal", `holds values in "m"`},
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.Declared = declared
			table := fleettest.New()
			f := open(t, table, o)
			wantReason(t, f.Register(reportOf("old")), "")
			held := reportOf("old", number(1.5), whole(1), text("on"))
			held.Samples[0].Unit = "m"
			wantReason(t, pass(f, held, true), "")
			typed := reportOf("old", number(1), whole(1), text("on"), count(7))
			wantReason(t, pass(f, typed, false), "")
			before := shown(f)
			_, flaws, err := f.Import([]fleet.Entry{entry("sound", "x", "bool", ""), c.entry, entry("sound", "y", "bool", "")}, false)
			if err != nil || len(flaws) != 1 || flaws[0].Entry != 1 || flaws[0].Beside != -1 || flaws[0].Column != c.column || !strings.Contains(flaws[0].Text, c.text) {
				t.Fatalf("error %v, flaws %+v, want one at %s with %q", err, flaws, c.column, c.text)
			}
			if shown(f) != before || table.Puts != 0 {
				t.Errorf("something was imported:\n%s", shown(f))
			}
		})
	}
}

func TestImportClashes(t *testing.T) {
	f := open(t, fleettest.New(), options())
	_, flaws, err := f.Import([]fleet.Entry{
		entry("a", "x", "", ""), inState(entry("b", "", "", ""), fleet.Held), entry("a", "x", "bool", ""),
		entry("b", "", "", ""), entry("a", "", "", ""), entry("a", "", "", ""),
	}, false)
	want := []fleet.Flaw{{Entry: 2, Beside: 0, Column: "point"}, {Entry: 3, Beside: 1, Column: "state"}, {Entry: 5, Beside: 4, Column: "controller"}}
	if err != nil || len(flaws) != len(want) {
		t.Fatalf("%v, %+v", err, flaws)
	}
	for i := range want {
		if want[i].Text = flaws[i].Text; flaws[i] != want[i] {
			t.Errorf("flaw %+v, want %+v", flaws[i], want[i])
		}
	}
}

func TestImportLimits(t *testing.T) {
	o := options()
	o.Limits = fleet.Limits{Controllers: 2, Held: 1, PointsPerController: 2, Points: 3}
	for name, c := range map[string]struct {
		entries []fleet.Entry
		column  string
	}{
		"what there is room for":    {[]fleet.Entry{entry("old", "b", "", ""), entry("b", "x", "", ""), inState(entry("h", "", "", ""), fleet.Held)}, ""},
		"controllers":               {[]fleet.Entry{entry("b", "", "", ""), entry("c", "", "", "")}, "controller"},
		"held ones":                 {[]fleet.Entry{inState(entry("h", "", "", ""), fleet.Held), inState(entry("i", "", "", ""), fleet.Held)}, "controller"},
		"points of one":             {[]fleet.Entry{entry("old", "b", "", ""), entry("old", "c", "", "")}, "point"},
		"points of all":             {[]fleet.Entry{entry("old", "b", "", ""), entry("b", "x", "", ""), entry("b", "y", "", "")}, "point"},
		"a point that is there":     {[]fleet.Entry{entry("old", "a", "", ""), entry("old", "b", "", "")}, ""},
		"a controller that is held": {[]fleet.Entry{inState(entry("h", "", "", ""), fleet.Held)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t, fleettest.New(), o)
			wantReason(t, f.Register(reportOf("old")), "")
			wantReason(t, pass(f, reportOf("old", number(1)), false), "")
			_, flaws, err := f.Import(c.entries, false)
			if err != nil || (len(flaws) == 0) != (c.column == "") || len(flaws) > 0 && flaws[0].Column != c.column {
				t.Errorf("%v, %+v", err, flaws)
			}
			if c.column == "" {
				mustImport(t, f, c.entries...) // once more takes no more room
			}
		})
	}
}

func TestImportThatCannotBeWritten(t *testing.T) {
	table := fleettest.New()
	f := open(t, table, options())
	wantReason(t, f.Register(reportOf("old")), "")
	table.Fail = errDisk
	if _, _, err := f.Import([]fleet.Entry{entry("old", "a", "text", "")}, false); err == nil {
		t.Fatal("the failure of the table is not told")
	}
	table.Fail = nil
	if len(f.Points("old")) != 0 {
		t.Error("what was not written holds")
	}
	mustImport(t, f, entry("old", "a", "text", ""))
	if got := open(t, table, options()).Points("old"); len(got) != 1 || got[0].Kind != penstock.Text {
		t.Errorf("after a restart %+v", got)
	}
}

// An import releases a held controller, and lists another as held.
func TestImportAdmits(t *testing.T) {
	o := options()
	o.Unknown = fleet.HoldUnknown
	f := open(t, fleettest.New(), o)
	wantReason(t, f.Register(reportOf("a")), penstock.ReasonUnknown)
	if done := mustImport(t, f, entry("a", "", "", ""), inState(entry("b", "", "", ""), fleet.Held)); done.Controllers != 1 {
		t.Errorf("%+v", done)
	}
	wantReason(t, f.Register(reportOf("a")), "")
	wantReason(t, f.Register(reportOf("b")), penstock.ReasonUnknown)
	if a, _ := f.Controller("a"); a.FirstSeen != noon.UnixNano() {
		t.Errorf("what was seen of it while it was held is lost: %+v", a)
	}
}

// What was imported and never had a value may be declared anew; what had one
// keeps it. A whole number without a type becomes what is declared.
func TestImportAgain(t *testing.T) {
	f := registered(t, options(), "c")
	mustImport(t, f, entry("c", "x", "text", "m"))
	mustImport(t, f, entry("c", "x", "int64", "s"))
	r := reportOf("c", whole(3))
	r.Samples[0].Point = "x"
	wantReason(t, pass(f, r, true), "")
	if _, flaws, _ := f.Import([]fleet.Entry{entry("c", "x", "float64", "")}, false); len(flaws) != 1 {
		t.Errorf("a point of int64 became float64: %+v", flaws)
	}
	for _, kind := range []string{"float64", "int64", "uint64"} {
		point := "guessed-" + kind
		r.Samples[0].Point, r.Samples[0].Value = point, whole(3)
		wantReason(t, pass(f, r, true), "")
		mustImport(t, f, entry("c", point, kind, ""))
		r.Samples[0].Value = number(0.5)
		want := penstock.ReasonType
		if kind == "float64" {
			want = ""
		}
		wantReason(t, pass(f, r, true), want)
	}
}

// The configuration fills in what the import leaves open, and the other way
// round; when they come to differ the configuration holds, and says so.
func TestImportBesideTheConfiguration(t *testing.T) {
	low, high, higher := 0.0, 10.0, 20.0
	o := options()
	o.Declared = []fleet.Declaration{{Controller: "*", Point: "a", Max: &high}}
	table := fleettest.New()
	f := open(t, table, o)
	e := entry("c", "a", "float64", "m")
	e.Min = &low
	mustImport(t, f, e)
	if got := shown(f); got != "c registered\n  a float64 false \"m\" min 0 max 10 \n" {
		t.Errorf("%s", got)
	}
	if notes, more := f.Notes(); len(notes)+more > 0 {
		t.Errorf("notes %q", notes)
	}
	o.Declared[0] = fleet.Declaration{Controller: "*", Point: "a", Type: "int64", Min: &high, Max: &higher}
	f = open(t, table, o)
	if got := shown(f); got != "c registered\n  a int64 false \"m\" min 10 max 20 \n" {
		t.Errorf("%s", got)
	}
	if notes, more := f.Notes(); len(notes) != 2 || more != 0 || !strings.Contains(notes[0], "declares the type int64, and not float64") {
		t.Errorf("notes %q", notes)
	}
	o.Declared[0] = fleet.Declaration{Controller: "*", Point: "a", Type: "text"}
	if got := shown(open(t, table, o)); got != "c registered\n  a text false \"m\" \n" {
		t.Errorf("%s", got)
	}
}

// What is stored stays, and no import keeps a gateway from starting.
func TestStoredAgainstImported(t *testing.T) {
	table := fleettest.New()
	f := open(t, table, options())
	mustImport(t, f, entry("c", "a", "text", ""), entry("c", "b", "float64", ""), entry("c", "d", "", "m"))
	f = open(t, table, options())
	for point, kind := range map[string]penstock.Kind{"a": penstock.Float64, "b": penstock.Int64, "d": penstock.Bool} {
		if err := f.LearnPoint("c", point, kind, "s", true); err != nil {
			t.Fatal(err)
		}
	}
	if got := shown(f); got != "c registered\n  a float64 false \"s\" \n  b float64 false \"s\" \n  d bool false \"s\" \n" {
		t.Errorf("%s", got)
	}
	if notes, _ := f.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "holds values of type float64, and not text") {
		t.Errorf("notes %q", notes)
	}
}

func TestOpenRefusesImportsThatItCannotRead(t *testing.T) {
	number := string(make([]byte, 8))
	page := "\x01\x00[{\"name\":\"a\"}]"
	for name, c := range map[string]struct {
		key, value string
		want       penstock.Code
	}{
		"of nobody":   {"s" + number, "\x01\x00{\"controller\":\"b\"}", penstock.Corrupt},
		"a rule":      {"s" + number, "\x01\x00{\"controller\":\"a\",\"points\":[{\"name\":\"x\",\"type\":\"complex\"}]}", penstock.Corrupt},
		"twice":       {"s" + number, "\x01\x00{\"controller\":\"a\",\"points\":[{\"name\":\"x\"},{\"name\":\"x\"}]}", penstock.Corrupt},
		"newer":       {"s" + number, "\x02\x00{\"controller\":\"a\"}", penstock.Unsupported},
		"the last":    {"s\xff\xff\xff\xff\xff\xff\xff\xff", "\x01\x00{\"controller\":\"a\"}", penstock.Corrupt},
		"a short key": {"s", "\x01\x00{\"controller\":\"a\"}", penstock.Corrupt},
	} {
		t.Run(name, func(t *testing.T) {
			table := fleettest.New()
			table.Records["p"+number] = []byte(page)
			table.Records[c.key] = []byte(c.value)
			_, err := fleet.Open(table, options())
			wantCode(t, err, c.want)
		})
	}
}

// Reports go on while points are declared.
func TestImportBesideReports(t *testing.T) {
	f := registered(t, options(), "c")
	var senders sync.WaitGroup
	for i := range 4 {
		senders.Go(func() {
			for n := range 200 {
				r := reportOf("c", whole(int64(n)))
				r.Samples[0].Point = fmt.Sprint("p", (n+i)%50)
				if refusal := pass(f, r, true); refusal != nil {
					t.Errorf("%+v", refusal)
					return
				}
				for range f.Signals(r) {
					break
				}
			}
		})
	}
	for n := range 50 {
		mustImport(t, f, telling(entry("c", fmt.Sprint("p", n), "", "dB"), "snr"))
	}
	senders.Wait()
	if n := len(f.Points("c")); n != 50 {
		t.Errorf("%d points", n)
	}
}

func TestSignals(t *testing.T) {
	o := options()
	o.Declared = []fleet.Declaration{
		{Controller: "c", Point: "a", Signal: "rssi"}, {Controller: "c", Point: "b", Signal: "snr", Unit: "dB"},
		{Controller: "c", Point: "e", Signal: "snr"},
	}
	f := registered(t, o, "c")
	r := reportOf("c", number(-71.5), whole(9), number(1), whole(3), text("n/a"))
	r.Samples[1].Unit = "dB"
	wantReason(t, pass(f, r, true), "")
	signals := func() string {
		var all []string
		for q, v := range f.Signals(r) {
			all = append(all, fmt.Sprint(q, v))
		}
		return strings.Join(all, " ")
	}
	if got := signals(); got != "rssi-71.5 snr9" {
		t.Errorf("%s", got)
	}
	if found, _ := f.Check(r); !found.Signals || found.Fresh {
		t.Errorf("found %+v", found)
	}
	other := reportOf("c", number(1))
	other.Samples[0].Point = "c"
	if found, _ := f.Check(other); found.Signals {
		t.Error("a report without signals is taken for one with")
	}
	r.Samples[0].Status = penstock.Bad
	if got := signals(); got != "snr9" {
		t.Errorf("with a bad status: %s", got)
	}
	other = reportOf("c", number(1))
	other.Samples[0].Unit = "V" // as if somebody sent volts: they are taken, and tell no signal
	wantReason(t, pass(f, other, false), "")
	r.Samples[0].Status = penstock.Good
	if got := signals(); got != "snr9" {
		t.Errorf("in another unit: %s", got)
	}
	mustImport(t, f, telling(entry("c", "d", "", ""), string(evidence.Attenuation)))
	if got := signals(); got != "snr9 attenuation3" {
		t.Errorf("after the import: %s", got)
	}
}
