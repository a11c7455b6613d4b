package fleet_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/fleet"
	"github.com/penstock/penstock/internal/fleet/fleettest"
)

// noon is the time in all tests.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func options() fleet.Options {
	return fleet.Options{Now: func() time.Time { return noon }, Rand: rand.Reader}
}

func open(t testing.TB, table fleet.Table, o fleet.Options) *fleet.Fleet {
	t.Helper()
	f, err := fleet.Open(table, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// reportOf returns a report of one sample a value: point a, b, c …
func reportOf(controller string, values ...penstock.Value) *penstock.Report {
	r := &penstock.Report{Controller: controller, Identity: penstock.SequenceIdentity(1, 7), Source: "https", ReceivedTime: noon.UnixNano()}
	for i, v := range values {
		r.Samples = append(r.Samples, penstock.Sample{Point: string(rune('a' + i)), SourceTime: noon.UnixNano(), Value: v})
	}
	return r
}

func wantCode(t *testing.T, err error, want penstock.Code) {
	t.Helper()
	if err == nil || penstock.CodeOf(err) != want {
		t.Fatalf("got error %v, want code %v", err, want)
	}
}

func wantReason(t *testing.T, refusal *fleet.Refusal, want penstock.Reason) {
	t.Helper()
	got := penstock.Reason("")
	if refusal != nil {
		got = refusal.Reason
		if refusal.Detail == "" {
			t.Error("the refusal has no detail")
		}
	}
	if got != want {
		t.Fatalf("refusal %+v, want reason %q", refusal, want)
	}
}

func TestOpenRefusesWhatItCannotRead(t *testing.T) {
	number := string(make([]byte, 8))
	for name, c := range map[string]struct {
		key, value string
		want       penstock.Code
	}{
		"short key":      {"c", "", penstock.Corrupt},
		"unknown kind":   {"z" + number, "", penstock.Unsupported},
		"short record":   {"c" + number, "\x01", penstock.Corrupt},
		"newer version":  {"c" + number, "\x02\x00{}", penstock.Unsupported},
		"newer feature":  {"c" + number, "\x01\x04{}", penstock.Unsupported},
		"not JSON":       {"p" + number, "\x01\x00[", penstock.Corrupt},
		"unknown field":  {"c" + number, "\x01\x00{\"x\":1}", penstock.Corrupt},
		"no digest":      {"c" + number, "\x01\x00{\"label\":\"x\"}", penstock.Corrupt},
		"page of far":    {"p" + string([]byte{0, 0, 0, 0, 0, 0x10, 0, 1}), "\x01\x00[]", penstock.Corrupt},
		"twice the same": {"p" + number, "\x01\x00[{\"name\":\"a\"},{\"name\":\"a\"}]", penstock.Corrupt},
	} {
		t.Run(name, func(t *testing.T) {
			table := fleettest.New()
			table.Records[c.key] = []byte(c.value)
			_, err := fleet.Open(table, options())
			wantCode(t, err, c.want)
		})
	}
}

func TestOpenRefusesOptions(t *testing.T) {
	o := options()
	o.Unknown = "welcome"
	_, err := fleet.Open(fleettest.New(), o)
	wantCode(t, err, penstock.Invalid)

	nan, low, high := 0.0, 1.0, 2.0
	nan /= nan
	o = options()
	o.Declared = []fleet.Declaration{
		{Controller: "a"},
		{Controller: "a", Point: "b", Type: "float"},
		{Controller: "a", Point: "b", Type: "none"},
		{Controller: "a", Point: "b", Unit: strings.Repeat("m", 33)},
		{Controller: "a", Point: "b", Min: &high, Max: &low},
		{Controller: "a", Point: "b", Min: &nan},
		{Controller: "a", Point: "b", Type: "text", Min: &low},
	}
	_, err = fleet.Open(fleettest.New(), o)
	wantCode(t, err, penstock.Invalid)
	if n := strings.Count(err.Error(), "declared point"); n != len(o.Declared) {
		t.Errorf("%d problems named, want all %d: %v", n, len(o.Declared), err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte("c12345678"), []byte("\x01\x00{\"label\":\"x\",\"role\":\"admin\",\"scope\":[\"*\"],\"created\":1}"))
	f.Add([]byte("p\x00\x00\x00\x00\x00\x00\x00\x00"), []byte("\x01\x00[{\"name\":\"a\",\"seq\":1}]"))
	f.Add([]byte("s12345678"), []byte("\x01\x00{\"controller\":\"known\",\"points\":[{\"name\":\"a\",\"type\":\"int64\",\"min\":1}]}"))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		table := fleettest.New()
		table.Records["p\x00\x00\x00\x00\x00\x00\x00\x07"] = []byte("\x01\x00[{\"name\":\"known\"}]")
		table.Records[string(key)] = value
		f, err := fleet.Open(table, options())
		if err != nil {
			if penstock.CodeOf(err) == penstock.Internal {
				t.Fatal(err)
			}
			return
		}
		f.Controllers()
		f.Points("known")
		f.Notes()
		f.List()
	})
}

var errDisk = errors.New("the disk is gone")
