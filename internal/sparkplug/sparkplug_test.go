package sparkplug_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/sparkplug"
)

// The fields and types of the specification that the tests use.
const (
	tInt8, tInt16, tInt32, tInt64     = 1, 2, 3, 4
	tUInt8, tUInt16, tUInt32, tUInt64 = 5, 6, 7, 8
	tFloat, tDouble, tBool, tString   = 9, 10, 11, 12
	tDateTime, tDataSet, tBytes       = 13, 16, 17
	fInt, fLong, fBool                = 10, 11, 14
)

// m is a metric under construction.
type m []byte

func (b m) varint(n protowire.Number, v uint64) m {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
}

func (b m) bytes(n protowire.Number, v []byte) m {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
}

func named(name string, datatype uint64) m { return m(nil).bytes(1, []byte(name)).varint(4, datatype) }
func alias(a uint64) m                     { return m(nil).varint(2, a) }
func (b m) alias(a uint64) m               { return b.varint(2, a) }
func (b m) at(millis uint64) m             { return b.varint(3, millis) }
func (b m) whole(v uint64) m               { return b.varint(fInt, v) }
func (b m) long(v uint64) m                { return b.varint(fLong, v) }
func (b m) null() m                        { return b.varint(7, 1) }
func (b m) str(s string) m                 { return b.bytes(15, []byte(s)) }
func (b m) double(v float64) m {
	return protowire.AppendFixed64(protowire.AppendTag(b, 13, protowire.Fixed64Type), math.Float64bits(v))
}
func (b m) float(v float32) m {
	return protowire.AppendFixed32(protowire.AppendTag(b, 12, protowire.Fixed32Type), math.Float32bits(v))
}

// quality adds the property, behind another one.
func (b m) quality(q uint64) m {
	other := m(nil).varint(1, tString).bytes(8, []byte("m3/h"))
	value := m(nil).varint(1, tInt32).varint(3, q)
	set := m(nil).bytes(1, []byte("engUnit")).bytes(1, []byte("Quality")).bytes(2, other).bytes(2, value)
	return b.bytes(9, set)
}

// message returns a payload; a seq below 0 is left out.
func message(millis uint64, seq int, metrics ...m) []byte {
	b := m(nil).varint(1, millis)
	for _, metric := range metrics {
		b = b.bytes(2, metric)
	}
	if seq >= 0 {
		b = b.varint(3, uint64(seq))
	}
	return b
}

func bdSeq(n uint64) m { return named("bdSeq", tUInt64).long(n) }

// plant drives a host, and keeps what it said last.
type plant struct {
	t     testing.TB
	host  *sparkplug.Host
	now   time.Time
	token uint64
	last  sparkplug.Result
}

var noon = time.UnixMilli(1_780_315_200_000)

func newPlant(t testing.TB, c sparkplug.Config) *plant {
	t.Helper()
	h, err := sparkplug.NewHost(c)
	if err != nil {
		t.Fatal(err)
	}
	return &plant{t: t, host: h, now: noon}
}

// ms returns the time some seconds after noon as edge nodes send it.
func ms(seconds int) uint64 { return uint64(noon.UnixMilli()) + uint64(seconds)*1000 }

func (p *plant) send(kind string, payload []byte) []penstock.Report {
	p.t.Helper()
	name := "spBv1.0/north/" + kind + "/gw"
	if kind[0] == 'D' {
		name += "/pump"
	}
	return p.sendTo(name, payload)
}

func (p *plant) sendTo(name string, payload []byte) []penstock.Report {
	p.token++
	p.last = p.host.Step(p.now, sparkplug.Message{Token: p.token, Topic: name, Payload: payload})
	return p.reports()
}

func (p *plant) reports() (all []penstock.Report) {
	for _, d := range p.last.Decided {
		all = append(all, d.Reports...)
	}
	return all
}

func (p *plant) count(e evidence.Event) (n uint64) {
	for _, event := range p.last.Events {
		if event.Event == e {
			n += event.Count
		}
	}
	return n
}

// born gives the edge node and its device a birth.
func (p *plant) born() {
	p.send("NBIRTH", message(ms(0), 0, bdSeq(7), named("temp", tDouble).alias(1).double(20), named("Node Control/Rebirth", tBool).alias(2).varint(fBool, 0)))
	p.send("DBIRTH", message(ms(0), 1, named("flow", tFloat).alias(10).float(1.5), named("run", tBool).alias(11).varint(fBool, 1), named("table", tDataSet).alias(12)))
}

func show(rs []penstock.Report) string {
	var b strings.Builder
	for _, r := range rs {
		fmt.Fprintf(&b, "%s", r.Controller)
		for _, s := range r.Samples {
			fmt.Fprintf(&b, " %s=%s@%d", s.Point, s.Value, (s.SourceTime-noon.UnixNano())/1e9)
			if s.Status != 0 {
				fmt.Fprintf(&b, "/%s", s.Status)
			}
			if s.Flags != 0 {
				fmt.Fprintf(&b, "!%d", s.Flags)
			}
		}
		b.WriteString("; ")
	}
	return strings.TrimSuffix(b.String(), "; ")
}

func (p *plant) want(got []penstock.Report, want string) {
	p.t.Helper()
	if s := show(got); s != want {
		p.t.Errorf("got  %s\nwant %s", s, want)
	}
}

func TestBirthsAndDataBecomeReports(t *testing.T) {
	p := newPlant(t, sparkplug.Config{})
	p.want(p.send("NBIRTH", message(ms(0), 0, bdSeq(7), named("temp", tDouble).alias(1).double(20), named("Node Control/Rebirth", tBool).alias(2))), "north:gw temp=20@0")
	p.want(p.send("DBIRTH", message(ms(1), 1, named("flow/in", tFloat).alias(10).at(ms(0)).float(1.5), named("table", tDataSet).alias(12))), "north:gw:pump flow/in=1.5@0")
	if p.count(evidence.Refused) != 1 {
		t.Error("the table was not counted")
	}
	p.want(p.send("NDATA", message(ms(2), 2, alias(1).double(21), alias(2))), "north:gw temp=21@2")
	p.want(p.send("DDATA", message(ms(3), 3, alias(10).at(ms(3)).float(2), alias(10).at(ms(2)).varint(5, 1).float(1.75))), "north:gw:pump flow/in=2@3 flow/in=1.75@2!4")
	if len(p.last.Events) != 0 {
		t.Errorf("events %+v", p.last.Events)
	}
	p.want(p.send("DDATA", message(0, 4, alias(10).float(3))), "north:gw:pump flow/in=3@0!1")
	p.want(p.send("DDATA", message(ms(5), 5, named("extra", tInt32).whole(5))), "north:gw:pump extra=5@5")
	for _, name := range []string{"spBv1.0/STATE/scada", "spBv1.0/north/NCMD/gw", "spBv1.0/north/DCMD/gw/pump"} {
		if got := p.sendTo(name, []byte("{}")); len(got) > 0 || len(p.last.Events) > 0 || len(p.last.Decided) != 1 {
			t.Errorf("%s: %+v", name, p.last)
		}
	}
}

func TestValues(t *testing.T) {
	minus := func(n int64, bits uint) uint64 { return uint64(n) & (math.MaxUint64 >> (64 - bits)) }
	for _, c := range []struct {
		name   string
		metric m
		want   string // value and status, or empty when refused
	}{
		{"int8", named("x", tInt8).whole(minus(-5, 8)), "-5"},
		{"int8 of 32 bits", named("x", tInt8).whole(minus(-5, 32)), "-5"},
		{"int8 of 64 bits", named("x", tInt8).whole(minus(-5, 64)), "-5"},
		{"int8 too large", named("x", tInt8).whole(300), ""},
		{"int16", named("x", tInt16).whole(minus(math.MinInt16, 16)), "-32768"},
		{"int32", named("x", tInt32).whole(minus(-1, 32)), "-1"},
		{"int32 in long", named("x", tInt32).long(minus(-1, 64)), "-1"},
		{"int64", named("x", tInt64).long(1 << 63), "-9223372036854775808"},
		{"uint8", named("x", tUInt8).whole(255), "255"},
		{"uint8 too large", named("x", tUInt8).whole(256), ""},
		{"uint32 in int", named("x", tUInt32).whole(math.MaxUint32), "4294967295"},
		{"uint32 in long", named("x", tUInt32).long(7), "7"},
		{"uint32 too large", named("x", tUInt32).long(1 << 32), ""},
		{"uint64", named("x", tUInt64).long(math.MaxUint64), "18446744073709551615"},
		{"datetime", named("x", tDateTime).long(ms(0)), "1780315200000"},
		{"float", named("x", tFloat).float(0.1), "0.10000000149011612"},
		{"float as double", named("x", tFloat).double(0.1), ""},
		{"string", named("x", tString).str("on"), "on"},
		{"string of bad bytes", named("x", tString).str("\xff"), ""},
		{"long string", named("x", tString).str(strings.Repeat("x", penstock.MaxText+1)), ""},
		{"null", named("x", tDouble).null(), "none/Bad"},
		{"nothing", named("x", tDouble), "none/Bad"},
		{"good", named("x", tDouble).double(1).quality(192), "1"},
		{"bad", named("x", tDouble).double(1).quality(0), "1/Bad"},
		{"stale", named("x", tDouble).double(1).quality(500), "1/UncertainNoCommunicationLastUsableValue"},
		{"stale null", named("x", tDouble).null().quality(500), "none/BadNoCommunication"},
		{"uncertain of OPC DA", named("x", tDouble).double(1).quality(64), "1/Uncertain"},
		{"bytes", named("x", tBytes).bytes(16, []byte{1}), ""},
		{"time beyond all", named("x", tDouble).double(1).at(math.MaxUint64), ""},
		{"name too long", named(strings.Repeat("x", 129), tDouble).double(1), ""},
	} {
		p := newPlant(t, sparkplug.Config{})
		rs := p.send("NBIRTH", message(ms(0), 0, c.metric))
		if c.want == "" {
			if len(rs) != 0 || p.count(evidence.Malformed)+p.count(evidence.Refused) != 1 {
				t.Errorf("%s: %s, %+v", c.name, show(rs), p.last.Events)
			}
			continue
		}
		value, status, _ := strings.Cut(c.want, "/")
		if status != "" {
			status = "/" + status
		}
		if got := show(rs); got != "north:gw x="+value+"@0"+status {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestDeaths(t *testing.T) {
	p := newPlant(t, sparkplug.Config{})
	p.born()
	p.now = p.now.Add(time.Minute)
	p.want(p.send("NDEATH", message(ms(0), -1, bdSeq(6))), "")
	if p.count(evidence.Late) != 1 {
		t.Error("a death of another session was not counted")
	}
	p.want(p.send("NDEATH", message(ms(0), -1)), "")
	p.want(p.send("NDATA", message(ms(2), 2, alias(1).double(21))), "north:gw temp=21@2")
	p.want(p.send("DDEATH", message(ms(3), 3)), "north:gw:pump flow=none@3/BadNoCommunication run=none@3/BadNoCommunication")
	p.want(p.send("DDEATH", message(ms(4), 4)), "")
	p.want(p.send("DBIRTH", message(ms(5), 5, named("flow", tFloat).alias(10).float(1))), "north:gw:pump flow=1@5")
	p.want(p.send("NDEATH", message(ms(0), -1, bdSeq(7))), "north:gw temp=none@60/BadNoCommunication!1; north:gw:pump flow=none@60/BadNoCommunication!1")
	p.want(p.send("NDEATH", message(ms(0), -1, bdSeq(7))), "")
}

func TestMessagesComeInAnyOrder(t *testing.T) {
	p := newPlant(t, sparkplug.Config{})
	p.born()
	p.want(p.send("NDATA", message(ms(4), 4, alias(1).double(4))), "")
	p.want(p.send("NDATA", message(ms(3), 3, alias(1).double(3))), "")
	p.want(p.send("NDATA", message(ms(3), 3, alias(1).double(3))), "")
	if p.count(evidence.Resent) != 1 {
		t.Error("a message that came twice was not counted")
	}
	p.want(p.send("NDATA", message(ms(2), 2, alias(1).double(2))), "north:gw temp=2@2; north:gw temp=3@3; north:gw temp=4@4")
	if tokens := p.last.Decided; tokens[0].Token != 6 || tokens[1].Token != 4 || tokens[2].Token != 3 {
		t.Errorf("decided %+v", tokens)
	}
	if _, waits := p.host.Wake(); waits {
		t.Error("it still waits")
	}
	p.want(p.send("NDATA", message(ms(3), 3, alias(1).double(3))), "north:gw temp=3@3") // a resend: its identity tells
	if p.count(evidence.Late) != 1 {
		t.Error("not counted as late")
	}
	p.want(p.send("NDATA", message(ms(5), 5, alias(1).double(5))), "north:gw temp=5@5")
}

func TestGapIsCountedAfterTheWait(t *testing.T) {
	p := newPlant(t, sparkplug.Config{Reorder: config.Duration(time.Second)})
	p.born()
	p.want(p.send("NDATA", message(ms(5), 5, alias(1).double(5))), "")
	p.want(p.send("NDATA", message(ms(7), 7, alias(1).double(7))), "")
	due, ok := p.host.Wake()
	if !ok || due.Sub(p.now) != time.Second {
		t.Fatalf("it wakes in %v, %v", due.Sub(p.now), ok)
	}
	p.last = p.host.Tick(due.Add(-1))
	p.want(p.reports(), "")
	p.last = p.host.Tick(due)
	p.want(p.reports(), "north:gw temp=5@5; north:gw temp=7@7")
	if p.count(evidence.Gap) != 4 {
		t.Errorf("%d are missing, not 4", p.count(evidence.Gap))
	}
	p.want(p.send("NDATA", message(ms(6), 6, alias(1).double(6))), "north:gw temp=6@6") // late, and stored
	p.want(p.send("NDATA", message(ms(8), 8, alias(1).double(8))), "north:gw temp=8@8")
	if len(p.last.Events) > 0 {
		t.Errorf("events %+v", p.last.Events)
	}
	// More than half of the numbers are missing: what comes is newer all the same.
	p.want(p.send("NDATA", message(ms(300), 200, alias(1).double(9))), "")
	p.last = p.host.Tick(p.now.Add(time.Second))
	p.want(p.reports(), "north:gw temp=9@300")
	if p.count(evidence.Gap) != 191 {
		t.Errorf("%d are missing, not 191", p.count(evidence.Gap))
	}
}

func TestSequenceWraps(t *testing.T) {
	p := newPlant(t, sparkplug.Config{})
	p.born()
	for i := 2; i < 600; i++ {
		p.want(p.send("NDATA", message(ms(i), i%256, alias(1).whole(0).double(float64(i)))), fmt.Sprintf("north:gw temp=%d@%d", i, i))
		if len(p.last.Events) > 0 {
			t.Fatalf("at %d: %+v", i, p.last.Events)
		}
	}
}

func TestRebirthAfterANewSession(t *testing.T) {
	p := newPlant(t, sparkplug.Config{})
	p.born()
	p.want(p.send("NDATA", message(ms(101), 1, alias(1).double(99))), "") // of the next session, before its birth
	p.want(p.send("NDATA", message(ms(50), 3, alias(1).double(50))), "")  // of this session, after a gap
	p.want(p.send("NBIRTH", message(ms(100), 0, bdSeq(8), named("level", tDouble).alias(1).double(3))),
		"north:gw temp=50@50; north:gw level=3@100; north:gw level=99@101")
	p.want(p.send("DDATA", message(ms(102), 2, alias(10).float(1))), "")
	if p.count(evidence.Gap) != 1 {
		t.Error("an alias of the session before was taken")
	}
	p.want(p.send("NDATA", message(ms(90), 250, alias(1).double(99))), "") // late, of the session before
	if p.count(evidence.Late) != 1 || p.count(evidence.Gap) != 1 {
		t.Errorf("events %+v", p.last.Events)
	}
}

func TestDataWithoutABirth(t *testing.T) {
	p := newPlant(t, sparkplug.Config{})
	p.want(p.send("DDATA", message(ms(0), 40, alias(10).float(1), named("run", tBool).varint(fBool, 1))), "north:gw:pump run=true@0")
	if p.count(evidence.Gap) != 1 || len(p.last.Commands) != 0 {
		t.Errorf("%+v", p.last)
	}
	p.want(p.send("DBIRTH", message(ms(1), 41, named("flow", tFloat).alias(10).float(1))), "north:gw:pump flow=1@1")
	p.want(p.send("DDATA", message(ms(2), 42, alias(10).float(2))), "north:gw:pump flow=2@2")
}

func TestRebirthIsAskedWhereAllowed(t *testing.T) {
	p := newPlant(t, sparkplug.Config{Rebirth: []string{"north/*"}})
	asked := 0
	for i := range 40 {
		p.sendTo(fmt.Sprintf("spBv1.0/north/NDATA/gw%d", i), message(ms(0), 1, alias(1).double(1)))
		asked += len(p.last.Commands)
	}
	if asked != 20 {
		t.Errorf("%d commands in one moment", asked)
	}
	due, ok := p.host.Wake()
	if !ok || due.Sub(p.now) != time.Second {
		t.Fatalf("it wakes in %v, %v", due.Sub(p.now), ok)
	}
	p.last = p.host.Tick(due)
	if len(p.last.Commands) != 20 || p.last.Commands[0].Topic != "spBv1.0/north/NCMD/gw20" {
		t.Errorf("%d commands a second later", len(p.last.Commands))
	}
	p.now = due
	again := func() int {
		p.sendTo("spBv1.0/north/NDATA/gw0", message(ms(0), -1, alias(1).double(1)))
		return len(p.last.Commands)
	}
	if again() != 0 {
		t.Error("asked twice within a minute")
	}
	p.now = p.now.Add(time.Minute)
	if again() != 1 {
		t.Error("not asked again after a minute")
	}
	p.sendTo("spBv1.0/south/NDATA/gw0", message(ms(0), 1, alias(1).double(1)))
	if len(p.last.Commands) != 0 {
		t.Error("a command without leave")
	}
}

func TestReconnect(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		c := sparkplug.Config{}
		if allowed {
			c.Rebirth = []string{"*"}
		}
		p := newPlant(t, c)
		p.born()
		p.want(p.send("NDATA", message(ms(4), 4, alias(1).double(4))), "")
		p.last = p.host.Reconnected(p.now)
		p.want(p.reports(), "north:gw temp=4@4")
		p.want(p.send("NDATA", message(ms(5), 5, alias(1).double(5))), "north:gw temp=5@5")
		if p.count(evidence.Gap) != 0 {
			t.Error("nothing was lost")
		}
		p.host.Reconnected(p.now)
		got := p.send("NDATA", message(ms(60), 66, alias(1).double(6)))
		if allowed {
			p.want(got, "") // a birth may be among what was lost
			if p.count(evidence.Gap) != 60+1 {
				t.Errorf("%d lost", p.count(evidence.Gap))
			}
			continue
		}
		p.want(got, "north:gw temp=6@60")
		if p.count(evidence.Gap) != 60 {
			t.Errorf("%d lost", p.count(evidence.Gap))
		}
	}
}

func TestMalformedIsNamed(t *testing.T) {
	p := newPlant(t, sparkplug.Config{})
	p.born()
	for name, payload := range map[string][]byte{
		"spBv1.0/north/NDATA/gw":      []byte("{not protobuf"),
		"spBv1.0/north/NDATA/gw/x":    message(ms(0), 2),
		"spBv1.0/north/DDATA/gw":      message(ms(0), 2),
		"spBv1.0/north/HELLO/gw":      message(ms(0), 2),
		"spBv1.0//NDATA/gw":           message(ms(0), 2),
		"plant/north":                 message(ms(0), 2),
		"spBv1.0/north/NDATA/g\x01":   message(ms(0), 2),
		"spBv1.0/north/NDATA/gwseq":   message(ms(0), 256),
		"spBv1.0/north/NDATA/gwpack":  m(nil).bytes(4, []byte("SPBV1.0_COMPRESSED")).bytes(5, []byte("x")),
		"spBv1.0/north/NDATA/gwmany":  message(ms(0), 1, slices.Repeat([]m{{}}, 20_001)...),
		"spBv1.0/north/NDATA/gwshort": {0x12, 0x7f},
	} {
		if got := p.sendTo(name, payload); len(got) > 0 || p.count(evidence.Malformed) != 1 || len(p.last.Events[0].Frame) == 0 || len(p.last.Decided) != 1 {
			t.Errorf("%s: %+v", name, p.last.Events)
		}
	}
	p.want(p.send("NDATA", message(ms(2), 2, alias(1).double(2))), "north:gw temp=2@2")
}

func TestLimits(t *testing.T) {
	p := newPlant(t, sparkplug.Config{Nodes: 2, Metrics: 4})
	p.born()                              // three metrics of the edge node and three of the device: two do not fit
	if p.count(evidence.Refused) != 2+1 { // and a table
		t.Errorf("%d refused: %+v", p.count(evidence.Refused), p.last.Events)
	}
	p.sendTo("spBv1.0/n/NBIRTH/b", message(ms(0), 0, bdSeq(0)))
	p.want(p.sendTo("spBv1.0/n/NBIRTH/c", message(ms(0), 0, bdSeq(0), named("x", tBool).varint(fBool, 1))), "")
	if p.count(evidence.Refused) != 1 {
		t.Error("the third edge node was not refused")
	}
	p.sendTo("spBv1.0/n/NDEATH/b", message(ms(0), -1, bdSeq(0)))
	p.want(p.sendTo("spBv1.0/n/NBIRTH/c", message(ms(0), 0, bdSeq(0), named("x", tBool).varint(fBool, 1))), "n:c x=true@0")
}

func TestAnAliasOfTwoMetricsNamesNone(t *testing.T) {
	p := newPlant(t, sparkplug.Config{})
	p.send("NBIRTH", message(ms(0), 0, named("a", tDouble).alias(1).double(1), named("b", tDouble).alias(1).double(2)))
	if p.count(evidence.Malformed) != 1 {
		t.Error("not told")
	}
	p.want(p.send("NDATA", message(ms(1), 1, alias(1).double(3))), "")
}

func TestLargeBirthsAreSplit(t *testing.T) {
	p := newPlant(t, sparkplug.Config{})
	var metrics []m
	for i := range 12_000 {
		metrics = append(metrics, named(fmt.Sprint("m", i), tBool).varint(fBool, 1))
	}
	if got := p.send("NBIRTH", message(ms(0), 0, metrics...)); len(got) != 3 || len(got[0].Samples)+len(got[1].Samples)+len(got[2].Samples) != 12_000 {
		t.Errorf("%d reports", len(got))
	}
	metrics = metrics[:0]
	for i := range 40 {
		metrics = append(metrics, named(fmt.Sprint("t", i), tString).str(strings.Repeat("x", penstock.MaxText)))
	}
	if got := p.send("NBIRTH", message(ms(0), 0, metrics...)); len(got) != 6 {
		t.Errorf("%d reports of long texts", len(got))
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []sparkplug.Config{{Node: "{device}"}, {Device: "{x}"}, {Reorder: 1}, {Reorder: config.Duration(time.Hour)}, {Nodes: -1}} {
		if err := c.Validate(); penstock.CodeOf(err) != penstock.Invalid {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
