package lineprotocol_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/lineprotocol"
	"github.com/penstock/penstock/link"
)

// batch collects what a decoder makes.
type batch struct {
	reports []penstock.Report
	refused []string
	full    int // reports that it takes; 0 for any number
}

func (b *batch) Add(r *penstock.Report, _ []byte) error {
	if b.full > 0 && len(b.reports) == b.full {
		return penstock.Errorf(penstock.TooLarge, "too many")
	}
	b.reports = append(b.reports, *r)
	return nil
}

func (b *batch) Refuse(cause error) error {
	b.refused = append(b.refused, cause.Error())
	return nil
}

func decoder(t testing.TB, precision string) *lineprotocol.Decoder {
	d, err := lineprotocol.New(lineprotocol.DefaultConfig(), precision)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDecode(t *testing.T) {
	body := `# what an agent of pump-17 saw
modbus,host=pump-17,unit=3 flow=12.5,running=true,count=42i,total=7u,mode="auto, \"day\"" 1700000000000000000
modbus,host=tank-1 level=0.5
modbus,host=pump-17 flow=13 1700000001000000000
`
	var b batch
	if err := decoder(t, "ns").Decode([]byte(body), &b); err != nil || len(b.refused) > 0 {
		t.Fatal(err, b.refused)
	}
	var got strings.Builder
	for _, r := range b.reports {
		for _, s := range r.Samples {
			fmt.Fprintln(&got, r.Controller, s.Point, s.SourceTime, s.Value.Kind(), s.Value)
		}
		if r.Identity.Form != penstock.Natural {
			t.Errorf("%s has the identity %s", r.Controller, r.Identity)
		}
	}
	const want = `pump-17 modbus/flow 1700000000000000000 float64 12.5
pump-17 modbus/running 1700000000000000000 bool true
pump-17 modbus/count 1700000000000000000 int64 42
pump-17 modbus/total 1700000000000000000 uint64 7
pump-17 modbus/mode 1700000000000000000 text auto, "day"
pump-17 modbus/flow 1700000001000000000 float64 13
tank-1 modbus/level 0 float64 0.5
`
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", &got, want)
	}
}

func TestPrecision(t *testing.T) {
	for precision, time := range map[string]string{"ns": "1700000000000000000", "us": "1700000000000000", "ms": "1700000000000", "s": "1700000000"} {
		var b batch
		if err := decoder(t, precision).Decode([]byte("m,host=a v=1 "+time), &b); err != nil {
			t.Fatal(err)
		}
		if got := b.reports[0].Samples[0].SourceTime; got != 1700000000000000000 {
			t.Errorf("%s: %d", precision, got)
		}
	}
	if _, err := lineprotocol.New(lineprotocol.DefaultConfig(), "h"); penstock.CodeOf(err) != penstock.Invalid {
		t.Error(err)
	}
}

func TestABadLineIsRefusedAlone(t *testing.T) {
	body := "m,host=a v=1 1\nm,host= v=2 2\nthis is no line\nm,site=b v=3 3\nm,host=a v=1x 4\nm,host=a v=5 5\n"
	var b batch
	if err := decoder(t, "ns").Decode([]byte(body), &b); err != nil {
		t.Fatal(err)
	}
	if len(b.reports) != 1 || len(b.reports[0].Samples) != 2 || len(b.refused) != 4 {
		t.Fatalf("%d reports, refused %q", len(b.reports), b.refused)
	}
	if !strings.HasPrefix(b.refused[0], "line 2") || !strings.Contains(b.refused[2], `no tag host`) {
		t.Errorf("refused %q", b.refused)
	}
}

func TestManySamplesOfAControllerBecomeSeveralReports(t *testing.T) {
	var body strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&body, "m,host=a v=%d %d\n", i, i+1)
	}
	var b batch
	if err := decoder(t, "ns").Decode([]byte(body.String()), &b); err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, r := range b.reports {
		total += len(r.Samples)
	}
	if len(b.reports) != 3 || total != 10_000 {
		t.Errorf("%d samples in %d reports", total, len(b.reports))
	}
	if err := decoder(t, "ns").Decode([]byte(body.String()), &batch{full: 1}); penstock.CodeOf(err) != penstock.TooLarge {
		t.Errorf("a full batch: %v", err)
	}
}

func TestTemplates(t *testing.T) {
	for text, want := range map[string]string{
		"{host}": "a", "{site|host}": "a", "{site|name}-{host}": "north-a", "rtu {measurement}": "rtu m",
	} {
		d, err := lineprotocol.New(lineprotocol.Config{Controller: text, Point: "{field}"}, "ns")
		if err != nil {
			t.Fatal(err)
		}
		var b batch
		if err := d.Decode([]byte("m,host=a,name=north v=1 1"), &b); err != nil || len(b.reports) != 1 || b.reports[0].Controller != want {
			t.Errorf("%s: %v, %+v, %q", text, err, b.reports, b.refused)
		}
	}
	for _, text := range []string{"", "{", "}", "{}", "{a|}", "{a{b}}", "a}b{c}"} {
		if err := (lineprotocol.Config{Controller: text, Point: "{field}"}).Validate(); penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := (lineprotocol.Config{Controller: "{host}", Point: "{measurement}"}).Validate(); err == nil || !strings.Contains(err.Error(), "{field}") {
		t.Error(err)
	}
}

// Whatever comes, the decoder ends, and what it adds can be encoded.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("m,host=a v=1 1\nm,host=b,x=y f=1i,g=\"text\" 2"))
	f.Add([]byte("m\\ n,ho\\=st=a,host=b v=t"))
	f.Add([]byte("#\n\n,,,\n\"\n=,="))
	d := decoder(f, "ms")
	f.Fuzz(func(t *testing.T, body []byte) {
		var b batch
		if err := d.Decode(body, &b); err != nil {
			return
		}
		for i := range b.reports {
			if len(b.reports[i].Samples) == 0 {
				t.Error("a report without samples")
			}
			link.AppendReport(nil, &b.reports[i])
		}
	})
}
