package sheet_test

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/fleet/fleettest"
	"github.com/penstock/penstock/internal/fleet/name"
	"github.com/penstock/penstock/internal/fleet/sheet"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func open(t rapid.TB, in *fleettest.Table, declared ...fleet.Declaration) *fleet.Fleet {
	t.Helper()
	f, err := fleet.Open(in, fleet.Options{
		Now: func() time.Time { return noon }, Rand: rand.Reader, Declared: declared, Limits: fleet.Limits{Points: 1000, PointsPerController: 100},
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func all(string) bool { return true }

func export(f *fleet.Fleet) string {
	var b strings.Builder
	for part := range sheet.Export(f, all) {
		b.Write(part)
	}
	return b.String()
}

func load(t rapid.TB, f *fleet.Fleet, text string) sheet.Result {
	t.Helper()
	r, err := sheet.Import(f, []byte(text), sheet.Options{Covers: func(string) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustLoad(t rapid.TB, f *fleet.Fleet, text string) {
	t.Helper()
	if r := load(t, f, text); len(r.Problems) > 0 {
		t.Fatalf("%+v\n%s", r.Problems, text)
	}
}

// names are those that hurt: formulas, quotes, separators, marks that a
// spreadsheet adds.
func names(slash bool) *rapid.Generator[string] {
	piece := rapid.SampledFrom([]string{
		"=", "+x", "-", "@", "'", "\"", ";", ",", " ", "a", "Ω", "＝", "pump", "0", "1e5", "\ufeff", "TRUE", "*", "/", "controller", "\u2028",
	})
	return rapid.Custom(func(t *rapid.T) string {
		return norm.NFC.String(strings.Join(rapid.SliceOfN(piece, 1, 5).Draw(t, "pieces"), ""))
	}).Filter(func(s string) bool {
		return slash && penstock.CheckPointName(s) == nil || name.CheckController(s) == nil
	})
}

var values = rapid.OneOf(
	rapid.Map(rapid.Int64(), penstock.IntValue), rapid.Map(rapid.Uint64(), penstock.UintValue), rapid.Map(rapid.Float64(), penstock.FloatValue),
	rapid.Map(rapid.Bool(), penstock.BoolValue), rapid.Just(penstock.TextValue("on")), rapid.Just(penstock.Value{}),
)

// report has the fleet see a report.
func report(t *rapid.T, f *fleet.Fleet, controller string) {
	r := &penstock.Report{Controller: controller, ReceivedTime: noon.UnixNano()}
	for range rapid.IntRange(0, 3).Draw(t, "samples") {
		s := penstock.Sample{Point: names(true).Draw(t, "point"), Value: values.Draw(t, "value")}
		s.Unit = rapid.SampledFrom([]string{"", "", "m", "=1+1", "dBm", "-"}).Draw(t, "unit")
		r.Samples = append(r.Samples, s)
	}
	if f.Register(r) == nil {
		_ = f.Learn(r, rapid.Bool().Draw(t, "literal")) // what is refused teaches nothing
	}
}

// row returns a row of CSV, with each cell in quotes.
func row(cells ...string) string {
	for i := range cells {
		cells[i] = `"` + strings.ReplaceAll(cells[i], `"`, `""`) + `"`
	}
	return strings.Join(cells, ",") + "\r\n"
}

// A sheet that is exported can be imported, where it came from and elsewhere, and
// then the export is the same to the byte, also after a restart.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		low := -0.5
		declared := []fleet.Declaration{
			{Controller: "p*", Point: "*", Unit: "m"}, {Controller: "*", Point: "a*", Min: &low}, {Controller: "*", Point: "0", Signal: "snr"},
		}[:rapid.IntRange(0, 3).Draw(t, "declared")]
		in := fleettest.New()
		f := open(t, in, declared...)
		controllers := rapid.SliceOfN(names(false), 1, 4).Draw(t, "controllers")
		for _, c := range controllers {
			report(t, f, c)
		}
		by := "controller,point,state,type,unit,min,max,signal,site,line\n"
		for _, c := range controllers {
			by += row(c, names(true).Draw(t, "point"), "", rapid.SampledFrom([]string{"", "float64", "bool"}).Draw(t, "type"),
				rapid.SampledFrom([]string{"", "m", "dBm", "@unit"}).Draw(t, "unit"), rapid.SampledFrom([]string{"", "-1e-300", "0"}).Draw(t, "min"),
				rapid.SampledFrom([]string{"", "12345678.125"}).Draw(t, "max"), rapid.SampledFrom([]string{"", "rssi"}).Draw(t, "signal"),
				rapid.SampledFrom([]string{"", "north", "=1+1"}).Draw(t, "site"), rapid.SampledFrom([]string{"", "line;-3"}).Draw(t, "line"))
		}
		load(t, f, by) // wrong ones are refused, and change nothing
		for _, c := range controllers {
			report(t, f, c)
		}
		load(t, f, "controller,state\nheld one,held\n")

		want := export(f)
		elsewhere := open(t, fleettest.New(), declared...)
		for i := range 2 {
			mustLoad(t, f, want)
			if got := export(f); got != want {
				t.Fatalf("import %d into the same gateway:\n%s\nwant\n%s", i+1, got, want)
			}
			mustLoad(t, elsewhere, want)
			if got := export(elsewhere); got != want {
				t.Fatalf("import %d into another one:\n%s\nwant\n%s", i+1, got, want)
			}
		}
		mustLoad(t, elsewhere, strings.ReplaceAll(want, "\n", "\r\n"))
		again := fleettest.New()
		f = open(t, again, declared...)
		mustLoad(t, f, want)
		f = open(t, again, declared...)
		if got := export(f); got != strings.Replace(want, "held one,held,,,,,,,,\n", "", 1) { // being held is not kept
			t.Fatalf("after a restart:\n%s\nwant\n%s", got, want)
		}
	})
}

// A whole number without a type may still become a number with a fraction: an
// export that goes round must not settle that.
func TestRoundTripSettlesNothing(t *testing.T) {
	f := open(t, fleettest.New())
	of := func(v penstock.Value) *penstock.Report {
		return &penstock.Report{Controller: "c", Samples: []penstock.Sample{{Point: "p", Value: v}}}
	}
	f.Register(of(penstock.IntValue(1)))
	if refusal := f.Learn(of(penstock.IntValue(1)), true); refusal != nil {
		t.Fatalf("%+v", refusal)
	}
	text := export(f)
	if !strings.HasSuffix(text, "\nc,registered,p,,,,,,,\n") {
		t.Errorf("%s", text)
	}
	mustLoad(t, f, text)
	if refusal := f.Learn(of(penstock.FloatValue(0.5)), true); refusal != nil {
		t.Errorf("%+v", refusal)
	}
	if text = export(f); !strings.HasSuffix(text, "\nc,registered,p,float64,,,,,,\n") {
		t.Errorf("%s", text)
	}
}

func TestSheetIsHarmlessToSpreadsheets(t *testing.T) {
	f := open(t, fleettest.New())
	names := []string{"=cmd", "+1", "-1", "@SUM", "＝x", "a;=b", "a;;-b", "'=x", "''+", "'plain", "plain", "a=b", "'"}
	text := "controller,point,unit\n"
	for _, name := range names {
		if name == "'=x" || name == "''+" {
			name = "'" + name // as it is exported, or a quote of the name would be taken for the guard
		}
		text += row("=c", name, "@u")
	}
	mustLoad(t, f, text)
	_, cells, _ := strings.Cut(export(f), "\n")
	for line := range strings.Lines(cells) {
		for _, cell := range strings.FieldsFunc(line, func(r rune) bool { return r == ';' || r == ',' || r == '\n' }) {
			if strings.ContainsAny(cell[:1], "=+-@") || strings.HasPrefix(cell, "＝") {
				t.Errorf("a spreadsheet runs %q of %q", cell, line)
			}
		}
	}
	var got []string
	for _, p := range f.Points("=c") {
		got = append(got, p.Name)
	}
	if slices.Sort(names); !slices.Equal(got, names) {
		t.Errorf("names %q, want %q", got, names)
	}
}

func TestDialects(t *testing.T) {
	want := "controller,state,point,type,unit,min,max,signal,site,line\npump-17,registered,flow,float64,L/s,0.5,12,,,\n"
	for name, text := range map[string]string{
		"as exported":             want,
		"with a mark":             "\ufeff" + want,
		"another order":           "max,point,controller,type,unit,min\n12,flow,pump-17,float64,L/s,0.5\n",
		"Excel in German":         "\ufeffcontroller;point;type;unit;min;max\r\npump-17;flow;float64;L/s;0,5;12\r\n;;;;;\r\n",
		"tabs":                    "controller\tpoint\ttype\tunit\tmin\tmax\npump-17\tflow\tfloat64\tL/s\t0,5\t1,2e1\n",
		"empty columns and lines": "\n\ncontroller,,point, type ,unit,min,max,\n\npump-17,,flow,float64,L/s,.5,12,\n,,,,\n",
		"cut cells":               "controller,point,type,unit,min,max,signal,state\npump-17,flow,float64,L/s,0.5,12\n",
		"quotes":                  "\"controller\",point,type,unit,min,max\n\"pump-17\",\"flow\",float64,L/s,0.5,12",
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t, fleettest.New())
			mustLoad(t, f, text)
			if got := export(f); got != want {
				t.Errorf("%s", got)
			}
		})
	}
}

func TestProblems(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"nothing":             {"", `1  the file is empty: its first line names the columns: controller,state,point,type,unit,min,max,signal,site,line`},
		"no controllers":      {"point,type\n", `1  there is no column controller: the first line names the columns`},
		"an unknown column":   {"controller,Unit\n", `1  there is no column "Unit": did you mean "unit"?`},
		"a strange column":    {"controller,colour\n", `1  there is no column "colour": the columns are controller, state, point, type, unit, min, max, signal, site, line`},
		"a column twice":      {"controller,unit,unit\n", `1 unit the column stands there twice`},
		"a cell below none":   {"controller,\na,b\nc,,d\n", `2  cell 2, "b", stands below no column; 3  cell 3, "d", stands below no column`},
		"a quote":             {"controller\na\n\"b\nc\n", `3  the row cannot be read: extraneous or missing " in quoted-field`},
		"not UTF-8":           {"controller\na\n\xff\n", `3  the file is not UTF-8: save it as CSV in UTF-8`},
		"UTF-16":              {"\xff\xfec\x00\n\x00", `1  the file is not UTF-8: save it as CSV in UTF-8`},
		"no number":           {"controller,point,min,max\na,b,x,1\na,c,Inf,NaN\na,d,\"0,5\",\n", `2 min "x" is not a number; 3 min "Inf" is not a number; 3 max "NaN" is not a number; 4 min "0,5" is not a number`},
		"what the fleet says": {"controller,point,type\n\na,x,bool\n\"a\",x,bool\n,y,bool\n", `4 point the point stands there twice: see line 3; 5 controller a controller needs a name`},
		"both kinds":          {"controller,point,type,min\na,x,bol,\na,y,,z\nb/,,,\n", `2 type type "bol" is none of float64, int64, uint64, bool and text; 3 min "z" is not a number; 4 controller the name of controller "b/" has a '/', which only points may have`},
		"two sites":           {"controller,point,site,line\na,x,north,\na,y,,3\na,z,south,3\n", `4 site the same controller has another site: see line 2`},
		"a site's name":       {"controller,site,line\na,\"b\nc\",\n", `2 site the name of the site "b\nc" has a control character`},
		"lines in quotes":     {"controller,point\na,\"x\ny\"\na,\n", `2 point the name of point "x\ny" has a control character`},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t, fleettest.New())
			r := load(t, f, c.text)
			var got []string
			for _, p := range r.Problems {
				got = append(got, fmt.Sprintf("%d %s %s", p.Line, p.Column, p.Text))
			}
			if text := strings.Join(got, "; "); text != c.want {
				t.Errorf("%s\nwant %s", text, c.want)
			}
			if len(f.Controllers()) > 0 {
				t.Error("something was imported")
			}
		})
	}
}

func TestScopeOfWhoImports(t *testing.T) {
	f := open(t, fleettest.New())
	covers := func(controller string) error {
		if controller == "other" {
			return penstock.Errorf(penstock.Forbidden, "not yours")
		}
		return nil
	}
	r, err := sheet.Import(f, []byte("controller\nmine\nother\n"), sheet.Options{Covers: covers})
	if err != nil || len(r.Problems) != 1 || r.Problems[0] != (sheet.Problem{Line: 3, Column: "controller", Text: "not yours"}) || len(f.Controllers()) > 0 {
		t.Errorf("%v %+v %+v", err, r, f.Controllers())
	}
	mustLoad(t, f, "controller\nmine\nother\n")
	var part []byte
	for p := range sheet.Export(f, func(name string) bool { return name == "mine" }) {
		part = append(part, p...)
	}
	if _, rows, _ := strings.Cut(string(part), "\n"); rows != "mine,registered,,,,,,,,\n" {
		t.Errorf("%s", rows)
	}
}

func TestSheetsAreBounded(t *testing.T) {
	rows, problems := sheet.Read([]byte("controller\n" + strings.Repeat("a\n", sheet.MaxRows+1)))
	if len(rows) != sheet.MaxRows || len(problems) != 1 || problems[0].Line != sheet.MaxRows+2 {
		t.Errorf("%d rows, %+v", len(rows), problems)
	}
	const many = 5 * sheet.MaxProblems
	r := load(t, open(t, fleettest.New()), "controller\n"+strings.Repeat("a\n", many+1))
	if len(r.Problems) != sheet.MaxProblems || r.More != many-sheet.MaxProblems || r.Problems[0].Line != 3 {
		t.Errorf("%d problems and %d more, the first %+v", len(r.Problems), r.More, r.Problems[0])
	}
}

// What can be imported can be exported and imported again, and nothing makes the
// reader fail.
func FuzzImport(f *testing.F) {
	f.Add([]byte("controller,state,point,type,unit,min,max,signal,site,line\npump-17,registered,flow,float64,L/s,0,12.5,,north,3\n"))
	f.Add([]byte("\ufeffpoint;controller;min\r\n'=x;a;0,5\r\n"))
	f.Add([]byte("controller\tstate\nb\theld\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		into := open(t, fleettest.New())
		r := load(t, into, string(text))
		want := export(into)
		if len(r.Problems) > 0 && len(into.Controllers()) > 0 {
			t.Fatalf("with problems %+v something was imported:\n%s", r.Problems, want)
		}
		mustLoad(t, into, want)
		if got := export(into); got != want {
			t.Fatalf("%s\nwant\n%s", got, want)
		}
	})
}
